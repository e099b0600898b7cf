"""The web server's process: uvicorn with our settings. Started by the supervisor and by `tunebook web`."""

import asyncio
import os
import socket

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from app.config import settings
from app.supervisor import LISTEN_FD
from app.tether import hold_tether

# How long a connection may stay open on which no request is under way and none begins.
HEAD_SECONDS = 20.0
# What a request's head may have at most: httptools, which uvicorn takes where it is installed, knows no end of it.
MOST_HEAD_BYTES = 64 * 1024
BYTES_A_SECOND = 1024


class Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn waits for the head of a request for ever, and takes one of any length."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Looks every now and then whether a request has come."""
        super().connection_made(transport)
        self._looked_at, self._head, self._came = self.cycle, 0, 0
        self.loop.call_later(HEAD_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        """Closes the connection once a head has become too long."""
        before, between = self.cycle, self._between()
        self._came += len(data)
        super().data_received(data)
        self._head = self._head + len(data) if between and self.cycle is before else 0
        if self._head > MOST_HEAD_BYTES:
            self.transport.close()

    def _between(self) -> bool:
        """Whether what comes next is the head of a request; else it is a body, read or not."""
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        # A body that goes on after its answer, such as a refusal, may come, but not by drops.
        dropping = self._came < HEAD_SECONDS * BYTES_A_SECOND
        over = self.cycle is None or self.cycle.response_complete
        if over and self.cycle is self._looked_at and (self._between() or dropping):
            self.transport.close()
            return
        self._looked_at, self._came = self.cycle, 0
        self.loop.call_later(HEAD_SECONDS, self._look)


def serve() -> None:
    """Serves until TERM. Event streams are cut three seconds after it; else they would never end."""
    os.umask(0o077)
    hold_tether()
    config = uvicorn.Config(
        "app.main:application",
        factory=True,
        http=Protocol,
        # There are none here, and no library for them is to be loaded.
        ws="none",
        host=settings().host,
        port=settings().port,
        # Addresses may hold a one-time token; the log must not.
        access_log=False,
        log_level="warning",
        server_header=False,
        # Only a proxy that is named is trusted to say where a request came from.
        proxy_headers=bool(settings().trusted_proxies),
        forwarded_allow_ips=settings().trusted_proxies,
        timeout_graceful_shutdown=3,
    )
    given = os.environ.get(LISTEN_FD, "")
    uvicorn.Server(config).run([socket.socket(fileno=int(given))] if given.isdigit() else None)


if __name__ == "__main__":
    serve()
