"""A time limit on a model's chat template: it comes with the model, and may never end. Used where one is rendered.

Transformers renders in an immutable sandbox, which keeps a template from running code but not from looping.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .failures import Failure

SECONDS = 2.0


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Ends the block with Failure after `seconds`. Without effect outside the main thread and on Windows, which have no
    such timers."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        raise Failure(
            f"The model's chat template did not end within {seconds:g} seconds for one row.",
            "Look at chat_template in the model's folder: it seems to loop. Take another model, or mend it there.",
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
