"""Calls to a place's API, and what a failure means before a run was started. Used by the rented kinds of compute."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from app.errors import Busy, KeyRefused, Unclear
from app.outside import outside_client
from app.service_http import CALL_SECONDS, Access, Api


@contextmanager
def opened(
    label: str, base_url: str, key: str, private: bool = False, headers: Mapping[str, str] | None = None
) -> Iterator[Api]:
    """The API for as long as the block lasts. `private`: its own host may lie at a private address.
    Raises KeyRefused without a key."""
    if not key:
        raise KeyRefused(f"{label} needs a key.", "Enter it on the page of this place.")
    own = urlsplit(base_url).hostname or ""
    with outside_client(CALL_SECONDS, own if private else "") as client:
        yield Api(Access(label, base_url, key), client, headers)


@contextmanager
def nothing_started() -> Iterator[None]:
    """What is unclear inside has started no run and may be done again: it becomes Busy."""
    try:
        yield
    except Unclear as error:
        raise Busy(
            error.message, "Nothing was started; Tunebook tries again by itself.", wait=30.0
        ) from error
