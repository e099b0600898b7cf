"""How far a toolkit is, read from its output or from a file that it writes. Used by _run.py."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..job import Job
from ..reporting import Reporter

LOOK_SECONDS = 0.7
# As tqdm draws one: "Loading weights:  85%|████ | 214/251 [00:31<00:05, 7.13it/s]".
BAR = re.compile(r"^[^|]{0,80}?\d+%\|[^|]*\| *\S+/\S+ \[[^\]]*\]$")


@dataclass(frozen=True)
class Step:
    """What one line tells. `step` counts from 1 (None: the next one); `fraction` of training, 0 to 1, where it is told;
    `epoch` where that is."""

    step: int | None = None
    fraction: float | None = None
    epoch: float | None = None
    loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None


def only_a_bar(line: str) -> bool:
    """Whether a line says no more than how far something is, or nothing: drawn again and again, such lines would hide in
    the log what was said."""
    return not line.strip() or BAR.match(line.strip()) is not None


Read = Callable[[str], Step | None]


class Progress:
    """Turns lines into out/metrics.jsonl and out/progress.json. `file`: where the lines are, else given to line()."""

    def __init__(self, job: Job, reporter: Reporter, read: Read, file: Path | str) -> None:
        self._epochs = float(job.values.get("epochs") or 1)
        self._reporter, self._read, self._file = reporter, read, Path(file) if file else None
        self._step, self._offset = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        if self._file:
            self._thread.start()

    def line(self, line: str) -> None:
        """One line of the program's own output."""
        if self._file is None:
            self._take(line)

    def end(self) -> None:
        """Reads what is left of the file."""
        self._over.set()
        if self._file:
            self._thread.join()
            self._read_on()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._read_on()

    def _read_on(self) -> None:
        try:
            with (self._file or Path()).open("rb") as file:
                file.seek(self._offset)
                whole = file.read().rpartition(b"\n")[0]
        except OSError:
            return
        self._offset += len(whole) + 1 if whole else 0
        for line in whole.decode("utf-8", "replace").split("\n") if whole else ():
            self._take(line)

    def _take(self, line: str) -> None:
        told = self._read(line)
        if told is None:
            return
        if told.loss is not None or told.validation_loss is not None:
            self._step = told.step if told.step is not None else self._step + (told.loss is not None)
            self._reporter.point(
                self._step,
                loss=told.loss,
                validation_loss=told.validation_loss,
                learning_rate=told.learning_rate,
            )
        fraction = told.fraction if told.fraction is not None else (told.epoch or 0.0) / self._epochs
        self._reporter.progress("training", min(fraction, 1.0), f"step {self._step}")
