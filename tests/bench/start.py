"""How long Tunebook takes to show its first page."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.bench import Figure, at_most
from tests.stack import Stack


def figures() -> Iterator[Figure]:
    """The second start of a data folder to its first page."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        stack.start().stop()
        began = time.monotonic()
        try:
            stack.start()
            page = httpx.get(stack.link, follow_redirects=True)
            assert page.status_code == 200, page
            yield at_most("start-to-first-page", time.monotonic() - began, "s", 3)
        finally:
            stack.stop()
