"""Which Tunebook a command talks to: the one that TUNEBOOK_URL names, else the one of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from app.client import Client, Unreachable


@contextmanager
def connected() -> Iterator[Client]:
    """A client; on this machine with a token that ends with the block. Raises Unreachable when nobody answers there."""
    url, token = os.environ.get("TUNEBOOK_URL"), os.environ.get("TUNEBOOK_TOKEN")
    if url:
        with Client(url, token, timeout=600) as lab:
            yield lab
        return
    from app.up import address, answers

    if not answers(timeout_seconds=5):
        raise Unreachable(
            f"No Tunebook answers at {address()}.",
            "Start it with `make up` or `tunebook up`, or name another with --url or TUNEBOOK_URL.",
        )
    if token:
        with Client(address(), token, timeout=600) as lab:
            yield lab
        return
    with _own_token() as made, Client(address(), made, timeout=600) as lab:
        yield lab


@contextmanager
def _own_token() -> Iterator[str]:
    """Whoever runs this owns the data folder, so it makes itself a token."""
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.sign_in import end_session, make_token
    from app.tables import TokenKind

    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.API, "command line")
    try:
        yield secret
    finally:
        with session_scope() as session:
            end_session(session, secret)
