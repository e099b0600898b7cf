"""HTTP/1.1 on one connection of the socket. Used by server.py.

h11 reads and writes the protocol; a larger server would hold more memory than this process may have while it is idle.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import h11

from .refusals import Refusal, bad

MOST_BYTES = 16 * 1024**2
# A request that began is read within this time; a connection without one is closed after the second.
REQUEST_SECONDS, IDLE_SECONDS = 30.0, 120.0


@dataclass(frozen=True)
class Request:
    """A whole request."""

    method: str
    path: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises Refusal where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise bad("The body is not JSON.", "Send UTF-8 JSON.") from None


class Wire:
    """One client's connection: requests one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)
        # What is written goes out together at drain(): each write to a socket costs as much as making the line.
        self._out: list[bytes] = []

    async def request(self) -> Request | None:
        """The next request, None where the client is gone. Raises Refusal for what is no HTTP or too long."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            head = await asyncio.wait_for(self._event(), IDLE_SECONDS)
            if not isinstance(head, h11.Request):
                return None
            async with asyncio.timeout(REQUEST_SECONDS):
                body = await self._body()
        except (TimeoutError, ConnectionError):
            return None
        except h11.RemoteProtocolError as error:
            raise bad(f"This is no HTTP request: {error}.", "Speak HTTP/1.1.") from error
        return Request(head.method.decode("ascii"), head.target.decode("ascii", "replace"), body)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
                await self.drain()
            self._http.receive_data(await self._reader.read(65536))
        return event

    async def _body(self) -> bytes:
        parts, size = [], 0
        while isinstance(event := await self._event(), h11.Data):
            size += len(event.data)
            if size > MOST_BYTES:
                raise Refusal("too_long", "The request is larger than 16 MiB.", "Send shorter messages.")
            parts.append(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionError
        return b"".join(parts)

    async def gone(self) -> None:
        """Returns when the client closes the connection; what it sends before that waits for its turn."""
        try:
            while data := await self._reader.read(65536):
                self._http.receive_data(data)
        except ConnectionError:
            return

    def answer(self, status: int, told: Any) -> None:
        """A whole answer as JSON."""
        body = json.dumps(told).encode()
        self._head(status, "application/json", [("content-length", str(len(body)))])
        self._send(h11.Data(data=body), h11.EndOfMessage())

    def begin(self) -> None:
        """The head of an answer that comes line by line."""
        self._head(200, "application/x-ndjson", [("transfer-encoding", "chunked")])

    def lines(self, told: list[Any]) -> None:
        """The next lines of it."""
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in told)
        self._send(h11.Data(data=text.encode()))

    def end(self) -> None:
        """Its end."""
        self._send(h11.EndOfMessage())

    async def drain(self) -> None:
        """Sends what was written; waits while the client reads more slowly than that."""
        if self._out:
            self._writer.write(b"".join(self._out))
            self._out.clear()
        await self._writer.drain()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()

    def _head(self, status: int, kind: str, more: list[tuple[str, str]]) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("content-type", kind), *more]
            if self._http.their_state in (h11.ERROR, h11.SEND_BODY):
                headers.append(("connection", "close"))
            self._send(h11.Response(status_code=status, headers=headers))

    def _send(self, *events: Any) -> None:
        if self._http.our_state is h11.ERROR:
            return
        self._out += [self._http.send(event) or b"" for event in events]
