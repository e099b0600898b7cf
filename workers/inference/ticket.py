"""One request on its way through the device's thread. Made by server.py, answered by lane.py."""

import asyncio
from typing import Any

from .asked import Asked

Line = dict[str, Any]


class Ticket:
    """What is asked with its prompt's tokens. Setting `cancelled` ends it at the next token.

    The rest is for the loop's thread: `put` takes the lines of the answer, the last of which has "finish" or "error".
    """

    def __init__(self, asked: Asked, tokens: list[int]) -> None:
        self.asked, self.tokens = asked, tokens
        self.cancelled = False
        self._came: list[Line] = []
        self._waits: asyncio.Future[None] | None = None
        self._patient = False

    def put(self, line: Line) -> None:
        """One more line."""
        self._came.append(line)
        if self._waits and not self._waits.done() and ("text" not in line or not self._patient):
            self._waits.set_result(None)

    async def lines(self, patience: float | None) -> list[Line]:
        """The lines that have come, at least one: those of the next `patience` seconds together, None for all."""
        if patience is None or patience > 0:
            await self._wait(patience)
        if not self._came:
            await self._wait(0)
        found, self._came = self._came, []
        return found

    async def _wait(self, patience: float | None) -> None:
        """Until a line comes; with patience until the last one, or so many seconds. A wake-up for each token of many
        answers would cost more than the tokens."""
        if any("text" not in line for line in self._came):
            return
        loop = asyncio.get_running_loop()
        self._waits, self._patient = loop.create_future(), patience != 0
        timer = loop.call_later(patience, _wake, self._waits) if patience else None
        try:
            await self._waits
        finally:
            self._waits = None
            if timer:
                timer.cancel()


def _wake(waits: "asyncio.Future[None]") -> None:
    if not waits.done():
        waits.set_result(None)


Events = list[tuple[Ticket, Line]]
