"""The thread in which all work on the device is done: it loads models and runs their batches in turn. Asked by server.py."""

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .asked import ModelName
from .options import Options
from .refusals import ERRORS, Refusal, refusal_of
from .shelf import Held, Shelf
from .ticket import Events, Ticket


@dataclass
class Wish:
    """A model that somebody waits for."""

    name: ModelName
    done: "asyncio.Future[Held]"


class Device:
    """Its methods are for the loop's thread; those with an underscore for its own.

    `since` is when the pass began that it is in (monotonic), None while it waits; `loading` whether it loads a model.
    """

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.shelf = Shelf(options)
        self.since: float | None = None
        self.loading = False
        self._loop = loop
        self._blocked = False
        self._wake = threading.Condition()
        self._wishes: deque[Wish] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._arrived: deque[tuple[Held, Ticket]] = deque()
        threading.Thread(target=self._run, name="device", daemon=True).start()

    async def hold(self, name: ModelName) -> Held:
        """The model, loaded where it was not, for one user: shelf.leave() ends that. Raises Refusal."""
        # Who waits for room comes first, or a model in constant use would keep all others out.
        found = None if self._wishes else self.shelf.hold(name)
        if found:
            return found
        wish = Wish(name, self._loop.create_future())
        with self._wake:
            self._wishes.append(wish)
            self._wake.notify()
        try:
            return await wish.done
        except asyncio.CancelledError:
            if wish.done.done() and not wish.done.cancelled() and not wish.done.exception():
                self.shelf.leave(wish.done.result())
            raise

    def submit(self, held: Held, ticket: Ticket) -> None:
        """Puts a request in its model's line."""
        with self._wake:
            self._arrived.append((held, ticket))
            self._wake.notify()

    async def unload(self, wanted: Callable[[Held], bool]) -> tuple[int, int]:
        """Unloads the models that `wanted` names; gives (unloaded, left because they are in use)."""
        done: asyncio.Future[tuple[int, int]] = self._loop.create_future()

        def call() -> None:
            found = [held for held in self.shelf.all() if wanted(held)]
            dropped = sum(self.shelf.drop(held) for held in found)
            self._loop.call_soon_threadsafe(_settle, done, (dropped, len(found) - dropped), None)

        with self._wake:
            self._calls.append(call)
            self._wake.notify()
        return await done

    def _run(self) -> None:
        try:
            self._work()
        finally:
            # It never ends by itself: without it nobody would get an answer, and the supervisor starts all anew.
            sys.stderr.flush()
            threading.Timer(0.5, os._exit, (1,)).start()

    def _work(self) -> None:
        while True:
            with self._wake:
                self.since = None
                self._wake.wait_for(self._has_work, timeout=0.05 if self._blocked else None)
                self.since = time.monotonic()
            while self._calls:
                self._calls.popleft()()
            self._blocked = not self._load_next()
            while self._arrived:
                held, ticket = self._arrived.popleft()
                held.lane.waiting.append(ticket)
            self._go()

    def _has_work(self) -> bool:
        wishes = bool(self._wishes) and not self._blocked
        busy = any(not held.lane.idle for held in self.shelf.all())
        return bool(self._calls or self._arrived or wishes or busy)

    def _go(self) -> None:
        """One pass over all batches."""
        busy = [held for held in self.shelf.all() if not held.lane.idle]
        if not busy:
            return
        import torch

        events: Events = []
        with torch.inference_mode():
            for held in busy:
                held.lane.go(events)
        if events:
            self._loop.call_soon_threadsafe(_deliver, events)

    def _load_next(self) -> bool:
        """Serves those who wait for a model; False where the first must wait until others leave."""
        while self._wishes:
            wish = self._wishes[0]
            if wish.done.cancelled():
                self._wishes.popleft()
                continue
            self.loading = True
            held, failed = self._try(wish.name)
            self.loading = False
            self.since = time.monotonic()
            if held is None and failed is None:
                return False
            self._wishes.popleft()
            self._loop.call_soon_threadsafe(self._give, wish, held, failed)
        return True

    def _try(self, name: ModelName) -> tuple[Held | None, Refusal | None]:
        """(the model, what went wrong); neither where it must wait for room."""
        try:
            found = self.shelf.hold(name)
            if found is None and self.shelf.make_room(name):
                found = self.shelf.load(name)
        except (*ERRORS, Refusal) as error:
            return None, refusal_of(error)
        return found, None

    def _give(self, wish: Wish, held: Held | None, failed: Refusal | None) -> None:
        if wish.done.cancelled() and held:
            self.shelf.leave(held)
            return
        _settle(wish.done, held, failed)


def _settle(done: "asyncio.Future[Any]", result: Any, failed: Refusal | None) -> None:
    if done.done():
        return
    if failed:
        done.set_exception(failed)
    else:
        done.set_result(result)


def _deliver(events: Events) -> None:
    for ticket, told in events:
        ticket.put(told)
