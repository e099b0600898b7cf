"""Answers what pages of live runs ask by themselves every few seconds from what was answered a moment ago, so that
whoever opens a page does not stand behind them: one ASGI layer, put around the routes by app/main.py.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.runs.watched import standing
from app.tables import TokenKind
from app.web.session import credential

POLLED = re.compile(r"/runs/(\d{1,9})/(status|curves|series\.json)")
# One Python process computes one answer at a time; a second waits for the database meanwhile.
AT_ONCE = 2
# So old an answer may be, where the run stands as it did.
KEPT_SECONDS = 2.0
MOST_KEPT = 300


@dataclass
class Answer:
    """What a route answered, and what the run stood like before it was asked."""

    stood: tuple[Any, ...]
    at: float
    route: Any = None
    messages: list[Message] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether it is a good one and all of it is here."""
        return (
            bool(self.messages)
            and self.messages[0]["status"] == 200
            and not self.messages[-1].get("more_body")
        )


class Watching:
    """One answer for all who watch a run: sign-in and rights are looked at for each, and a run that has got into another
    state is always asked anew."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # A semaphore belongs to one event loop.
        self.turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self.kept: dict[str, Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = POLLED.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if asked is None or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        async with self.turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
            secret, kind = credential(Request(scope))
            stands = None
            if secret and kind == TokenKind.SESSION:
                stands = await run_in_threadpool(standing, secret, int(asked[1]))
            if stands is None:
                # Also whoever may not see it: the route refuses them, in its own words.
                return await self.app(scope, receive, send)
            return await self._answer(stands, scope, receive, send)

    async def _answer(self, stands: tuple[Any, ...], scope: Scope, receive: Receive, send: Send) -> None:
        kept, path = self.kept.get(scope["path"]), scope["path"]
        if kept and kept.stood == stands and time.monotonic() < kept.at + KEPT_SECONDS:
            scope["route"] = kept.route
            for message in kept.messages:
                # The layers around this one add to the headers.
                await send({**message, "headers": [*message["headers"]]} if "headers" in message else message)
            return
        made = Answer(stands, time.monotonic())

        async def noted(message: Message) -> None:
            made.messages.append(
                {**message, "headers": [*message["headers"]]} if "headers" in message else message
            )
            await send(message)

        await self.app(scope, receive, noted)
        made.route = scope.get("route")
        if made.whole:
            if len(self.kept) >= MOST_KEPT:
                self.kept.clear()
            self.kept[path] = made
