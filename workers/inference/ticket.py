"""One request on its way through the device's thread. Made by server.py, answered by lane.py."""

import asyncio
from typing import Any

from .asked import Asked


class Ticket:
    """`events` get the lines of the answer in the loop's thread; the last one has "finish" or "error". Setting
    `cancelled` ends it at the next token."""

    def __init__(self, asked: Asked, tokens: list[int]) -> None:
        self.asked, self.tokens = asked, tokens
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.cancelled = False


Events = list[tuple[Ticket, dict[str, Any]]]
