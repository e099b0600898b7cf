"""What a run says about itself while it works: progress, log, curves, preview, resolved values."""

import time
from pathlib import Path
from typing import Any

from .files import append_lines, cut_torn_line, write_json

LEAST_SECONDS_BETWEEN = 0.4


class Reporter:
    """Writes into out/; one per process."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self._stage = ""
        self._stage_started = self._written = 0.0
        self._first_fraction = 0.0
        cut_torn_line(self.out / "metrics.jsonl")

    def log(self, text: str) -> None:
        """One line with its time (UTC) to out/log.txt and to the console."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {text}"
        print(line, flush=True)
        with (self.out / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def progress(self, stage: str, fraction: float, message: str) -> None:
        """out/progress.json; `stage` is preparing, training or predicting, `fraction` is of the stage.

        Written at most a few times a second, but always when the stage changes or ends.
        """
        at = time.monotonic()
        changed = stage != self._stage
        if changed:
            self._stage, self._stage_started, self._first_fraction = stage, at, fraction
        if not changed and fraction < 1 and at - self._written < LEAST_SECONDS_BETWEEN:
            return
        self._written = at
        gained, spent = fraction - self._first_fraction, at - self._stage_started
        left = spent / gained * (1 - fraction) if gained > 0 and spent > 1 else None
        write_json(
            self.out / "progress.json",
            {
                "stage": stage,
                "fraction": round(min(max(fraction, 0.0), 1.0), 4),
                "seconds_left": None if left is None else round(left, 1),
                "message": message,
            },
            # Written several times a second: a slow disk must not slow training down.
            durable=False,
        )

    def point(self, step: int, **values: float | None) -> None:
        """One line of out/metrics.jsonl; names are loss, validation_loss, learning_rate, tokens_per_second."""
        known = {name: value for name, value in values.items() if value is not None}
        append_lines(self.out / "metrics.jsonl", [{"step": step, **known}])

    def resolved(
        self,
        values: dict[str, Any],
        decoding: dict[str, Any],
        parameters: int | None = None,
        trained: int | None = None,
        **more: Any,
    ) -> None:
        """out/resolved.json: every hyperparameter that really ran, the model's size, how answers are made."""
        write_json(
            self.out / "resolved.json",
            {
                "hyperparameters": values,
                "parameters": parameters,
                "trained_parameters": trained,
                "decoding": decoding,
                **more,
            },
        )
