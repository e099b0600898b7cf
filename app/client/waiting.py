"""Asks again and again until something is so, with growing pauses. Used by datasets, experiments, exports."""

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import WaitedTooLong

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


def wait_until(
    look: Callable[[], T],
    done: Callable[[T], bool],
    said: Callable[[T], None],
    pause: Callable[[float], None] = time.sleep,
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What look() gives once done(it). Raises WaitedTooLong after `timeout` seconds; then it goes on without us.

    >>> numbers = iter([1, 2, 3])
    >>> wait_until(lambda: next(numbers), lambda n: n == 3, lambda n: None, pause=lambda seconds: None)
    3
    """
    end = None if timeout is None else clock() + timeout
    seconds = FIRST_PAUSE
    while True:
        found = look()
        said(found)
        if done(found):
            return found
        if end is not None and clock() >= end:
            raise WaitedTooLong(
                f"Not done after {timeout:g} s.", "It goes on at the server: wait again later."
            )
        pause(seconds)
        seconds = min(LONGEST_PAUSE, seconds * 1.3)
