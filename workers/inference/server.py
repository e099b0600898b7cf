"""Answers the requests on the socket: /health, /chat, /unload, /device/take, /device/give. Started by __main__.py."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from workers.training.failures import Failure

from .asked import Asked, read_asked
from .device import Device
from .handover import Handover
from .holders import Holders
from .options import Options, has_gpu
from .refusals import ERRORS, Refusal, bad, busy
from .shelf import Held
from .ticket import Ticket
from .wire import Request, Wire

# Pieces of an answer that come within this time go out as one line: a line for each token of many answers would cost
# more than the tokens.
GATHER_SECONDS, EACH_SECONDS = 0.02, 0.003
# Answers under way when a training takes the device may end within this time.
GRACE_SECONDS = 20.0
TRAINING = "A training holds the device."


class Server:
    """What a process serves. `requests` are under way, `newcomers` have not asked yet, `left` is when the last one ended (monotonic)."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.device = Device(options, loop)
        self.holders = Holders()
        self.handover = Handover(options.servers)
        self.requests = 0
        self.newcomers = 0
        self.left = time.monotonic()
        self.tickets: set[Ticket] = set()
        self.connections: set[asyncio.Task[None]] = set()
        self._baselines: Any = None
        self._fitter = ThreadPoolExecutor(1, "baselines")
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]] = {
            ("GET", "/health"): self._health,
            ("POST", "/unload"): self._unload,
            ("POST", "/device/take"): self._take,
            ("POST", "/device/give"): self._give,
        }

    @property
    def fitted(self) -> list[Any]:
        """The baselines in memory."""
        return list(self._baselines.fitted.values()) if self._baselines else []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection to its end."""
        task = asyncio.current_task()
        assert task
        self.connections.add(task)
        wire = Wire(reader, writer)
        self.newcomers += 1
        try:
            try:
                goes_on = await self._serve(wire)
            finally:
                self.newcomers -= 1
            while goes_on:
                goes_on = await self._serve(wire)
        except (ConnectionError, asyncio.CancelledError):
            # The client is gone, or the process ends: asyncio would write a cancelled connection into the log.
            return
        finally:
            self.connections.discard(task)
            wire.close()

    async def _serve(self, wire: Wire) -> bool:
        """One request; whether another may follow."""
        try:
            request = await wire.request()
            if request is None:
                return False
            await self._route(wire, request)
        except Refusal as refusal:
            wire.answer(refusal.status, refusal.told())
        await wire.drain()
        return wire.reusable

    async def _route(self, wire: Wire, request: Request) -> None:
        place = (request.method, request.path.partition("?")[0])
        if place == ("POST", "/chat"):
            self.requests += 1
            try:
                await self._chat(wire, read_asked(request.json()))
            finally:
                self.requests -= 1
                self.left = time.monotonic()
        elif place in self._routes:
            wire.answer(200, await self._routes[place](request))
        else:
            raise Refusal(
                "not_found",
                f"There is no {place[0]} {place[1][:100]}.",
                "docs/inference.md lists what there is.",
            )

    async def _chat(self, wire: Wire, asked: Asked) -> None:
        """An answer line by line; it ends early where the client is gone."""
        if self.requests > self.options.waiting:
            raise busy(f"{self.options.waiting} requests are under way or waiting.")
        work = asyncio.ensure_future(self._answer(wire, asked))
        gone = asyncio.ensure_future(wire.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ConnectionError
            await work
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _answer(self, wire: Wire, asked: Asked) -> None:
        begun = False
        async for lines in self._lines(asked):
            if begun:
                await wire.drain()
            elif "error" in lines[0]:
                raise Refusal(**lines[0]["error"])
            else:
                wire.begin()
            begun = True
            wire.lines(lines)
            if "text" in lines[-1]:
                await wire.drain()
        # Its end goes out with its last line.
        wire.end()

    async def _lines(self, asked: Asked) -> AsyncIterator[list[dict[str, Any]]]:
        if asked.model.kind == "baseline":
            yield await asyncio.get_running_loop().run_in_executor(self._fitter, self._fit, asked)
            return
        if there := await self.handover.find(asked):
            async for told in self.handover.lines(asked, *there):
                yield [told]
            return
        if self.holders.any():
            raise busy(TRAINING, "Ask again when it has ended, or stop it.")
        held = await self.device.hold(asked.model)
        ticket = None
        try:
            ticket = Ticket(asked, _tokens(held, asked))
            self.tickets.add(ticket)
            self.device.submit(held, ticket)
            async for lines in _gathered(ticket, self.requests):
                yield lines
        finally:
            if ticket:
                ticket.cancelled = True
                self.tickets.discard(ticket)
            self.device.shelf.leave(held)

    def _fit(self, asked: Asked) -> list[dict[str, Any]]:
        from .baselines import Baselines

        self._baselines = self._baselines or Baselines()
        return self._baselines.answer(asked)

    async def _health(self, _request: Request) -> dict[str, Any]:
        now = time.monotonic()
        models = [
            {
                "id": held.name.id,
                "kind": held.name.kind,
                "bytes": held.lane.language.bytes,
                "idle_seconds": 0.0 if held.users else round(now - held.used, 1),
                "in_use": held.users,
            }
            for held in self.device.shelf.all()
        ]
        models += [
            {
                "id": each.name.id,
                "kind": "baseline",
                "bytes": 0,
                "idle_seconds": round(now - each.used, 1),
                "in_use": 0,
            }
            for each in self.fitted
        ]
        return {
            "pid": os.getpid(),
            "device": "cuda" if has_gpu() else "cpu",
            "models": models,
            "waiting": self.requests,
            "training": self.holders.any(),
        }

    async def _unload(self, request: Request) -> dict[str, Any]:
        wanted = _field(request, "id", may_lack=True)
        unloaded, left = await self.unload(0.0, wanted)
        if left and not unloaded:
            raise busy("The model is in use.", "Ask again when its answers have ended.")
        return {"unloaded": unloaded, "in_use": left}

    async def unload(self, idle_seconds: float, id: str | None = None) -> tuple[int, int]:
        """Unloads models that were not used for so long; (unloaded, left because they are in use)."""
        before = time.monotonic() - idle_seconds
        unloaded, left = await self.device.unload(
            lambda held: held.used <= before and id in (None, held.name.id)
        )
        return unloaded + (self._baselines.forget(before, id) if self._baselines else 0), left

    async def _take(self, request: Request) -> dict[str, Any]:
        """A training begins: on a GPU everything is unloaded and nothing loaded until it ends."""
        key = _field(request, "launch_key")
        assert key
        if not self.options.trainings_take_it:
            return {"taken": False}
        self.holders.take(key)
        give_up = time.monotonic() + GRACE_SECONDS
        while (await self.device.unload(lambda _held: True))[1]:
            if time.monotonic() > give_up:
                for ticket in self.tickets:
                    ticket.put(busy(TRAINING).told())
            await asyncio.sleep(0.1)
        return {"taken": True}

    async def _give(self, request: Request) -> dict[str, Any]:
        key = _field(request, "launch_key")
        assert key
        self.holders.give(key)
        return {"taken": self.holders.any()}


def _field(request: Request, name: str, may_lack: bool = False) -> str | None:
    body = request.json() if request.body else {}
    value = body.get(name) if isinstance(body, dict) else None
    if value is None and may_lack:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 300 or not value.isprintable() or " " in value:
        raise bad(f"{name} is not a text of 1 to 300 characters without blanks.", f"Send {{{name}: ...}}.")
    return value


def _tokens(held: Held, asked: Asked) -> list[int]:
    """The prompt. In this thread, the only one that can end a template that loops."""
    from jinja2 import TemplateError

    try:
        return held.lane.language.encode(asked.messages, asked.tools)
    except (*ERRORS, TemplateError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Refusal:
    """A chat that the model's template or tokenizer does not take."""
    if isinstance(error, Failure):
        return bad(error.message, error.hint)
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return bad(
        f"The model's chat template does not take these messages: {said}", "Mend their roles or order."
    )


async def _gathered(ticket: Ticket, others: int) -> AsyncIterator[list[dict[str, Any]]]:
    """The lines of an answer as they come, the first at once, then small pieces together, the more the more answers are
    under way; without `stream` all pieces as one."""
    patience = 0.0 if ticket.asked.stream else None
    while True:
        lines = await ticket.lines(patience)
        pieces = [line for line in lines if "text" in line]
        rest = lines[len(pieces) :]
        if pieces:
            text = "".join(piece["text"] for piece in pieces)
            rest = [{"text": text, "tokens": [token for piece in pieces for token in piece["tokens"]]}, *rest]
        yield rest
        if len(pieces) < len(lines):
            return
        patience = GATHER_SECONDS + EACH_SECONDS * others
