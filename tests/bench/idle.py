"""The memory of the whole embedded Tunebook when nothing runs: supervisor, web, worker and the server of models."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from tests.bench import Figure, at_most
from tests.stack import Stack, part_of

# The worker is ready and has looked around a few times.
SETTLED_SECONDS = 20


def figures() -> Iterator[Figure]:
    """PSS (shared pages shared out) of each process and of all, after the first pages were seen."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            stack.start()
            with httpx.Client(follow_redirects=True) as browser:
                browser.get(stack.link).raise_for_status()
                for path in ("/datasets", "/experiments", "/runs", "/models", "/lab"):
                    browser.get(stack.base + path).raise_for_status()
            time.sleep(SETTLED_SECONDS)
            assert stack.process
            processes = [psutil.Process(stack.process.pid), *stack.children()]
            sizes = [(part_of(one) or "supervisor", one.memory_full_info().pss / 2**20) for one in processes]
        finally:
            stack.stop()
    for name, size in sizes:
        yield Figure(f"idle_pss {name}", size, "MiB", "", True)
    yield at_most("idle_pss_all", sum(size for _, size in sizes), "MiB", 220)
