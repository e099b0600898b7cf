"""Threads of the door's own, so that web pages keep theirs: a few for the database, many for calls to services that take
long. Used by answer.py, hosted.py and chat_api.py.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

MOST_CALLS = 64
Found = TypeVar("Found")
# Threads are made when they are first needed, and end with the process.
DATABASE = ThreadPoolExecutor(8, "door-database")
CALLS = ThreadPoolExecutor(MOST_CALLS, "door-calls")


async def in_thread(pool: ThreadPoolExecutor, function: Callable[..., Found], *arguments: Any) -> Found:
    """Runs a synchronous function there, with the log's fields of this request."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, context.run, function, *arguments)


def soon(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Has a short database function run in the background; nothing waits for it but the end of the process."""
    return DATABASE.submit(function, *arguments)
