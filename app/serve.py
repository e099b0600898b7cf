"""The web server's process: uvicorn with our settings. Started by the supervisor and by `tunebook web`."""

import os
import socket

import uvicorn

from app.config import settings
from app.supervisor import LISTEN_FD
from app.tether import hold_tether


def serve() -> None:
    """Serves until TERM. Event streams are cut three seconds after it; else they would never end."""
    os.umask(0o077)
    hold_tether()
    config = uvicorn.Config(
        "app.main:application",
        factory=True,
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
