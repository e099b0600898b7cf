"""Lets few of those requests in at once that pages of live runs send by themselves, so that whoever opens a page does not
stand behind them: one ASGI layer, put around the routes by app/main.py.
"""

import asyncio
import re
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Receive, Scope, Send

POLLED = re.compile(r"/runs/\d+/(status|curves|series\.json)")
# One Python process computes one answer at a time; a second waits for the database meanwhile.
AT_ONCE = 2


class Watching:
    """Those that ask again every few seconds wait for each other."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # A semaphore belongs to one event loop.
        self.turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not POLLED.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        async with self.turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
            return await self.app(scope, receive, send)
