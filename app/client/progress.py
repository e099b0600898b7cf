"""A line that says how far something is. Used by whatever takes time: uploads, runs, downloads."""

import sys
import time
from collections.abc import Callable
from typing import IO

WIDTH = 24
# A terminal and a notebook see one line that changes; a file gets one line for each of these steps.
STEP_SECONDS = 15.0
REDRAW_SECONDS = 0.1


class Progress:
    """One line on standard error. shown=None: where a person looks on (a terminal, a notebook).

    >>> import io
    >>> line = Progress("rule.jsonl", file=io.StringIO(), live=True)
    >>> line(0.5, "2 of 4 runs"); line.close()
    >>> line.file.getvalue().strip()
    'rule.jsonl ############------------  50 %  2 of 4 runs'
    """

    def __init__(
        self,
        label: str,
        shown: bool | None = None,
        file: IO[str] | None = None,
        live: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.file, self.clock = label, file or sys.stderr, clock
        watched = live if live is not None else watches(self.file)
        self.live, self.shown = watched, watched or file is not None if shown is None else shown
        self.drawn, self.at, self.length = "", float("-inf"), 0

    def __call__(self, share: float, note: str = "") -> None:
        """Says the share (0 to 1) and a few words."""
        line = f"{self.label} {bar(share)} {share:4.0%}".replace("%", " %") + (f"  {note}" if note else "")
        waited = self.clock() - self.at
        due = waited >= (REDRAW_SECONDS if self.live else STEP_SECONDS) or share >= 1
        if not self.shown or not due or line == self.drawn:
            return
        self.drawn, self.at = line, self.clock()
        self.file.write(f"\r{line:<{self.length}}" if self.live else f"{line}\n")
        self.length = len(line)
        self.file.flush()

    def close(self) -> None:
        """Ends the line."""
        if self.shown and self.live and self.drawn:
            self.file.write("\n")
            self.file.flush()


def bar(share: float) -> str:
    """A bar of plain characters.

    >>> bar(0.25)
    '######------------------'
    """
    full = round(WIDTH * min(1.0, max(0.0, share)))
    return "#" * full + "-" * (WIDTH - full)


def watches(file: IO[str]) -> bool:
    """Whether a person sees the file as it is written: a terminal, or the output of a notebook's cell."""
    return "ipykernel" in sys.modules or bool(getattr(file, "isatty", lambda: False)())
