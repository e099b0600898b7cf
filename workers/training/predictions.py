"""out/predictions.jsonl: one line per test item, resumable, in the order of test.jsonl at the end.

The same for validation in out/predictions-validation.jsonl, where an experiment chooses on it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .files import append_lines, cut_torn_line, read_lines, write_text


class PredictionFile:
    """The predictions made so far. Lines are {item, number, answer, p, logprob, latency_ms, tokens, error}."""

    def __init__(self, out: Path, part: str = "test") -> None:
        self.path = out / ("predictions.jsonl" if part == "test" else f"predictions-{part}.jsonl")
        cut_torn_line(self.path)
        self.done = {row["number"] for row in read_lines(self.path)}

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds the rows whose item has no line yet."""
        fresh = [row for row in rows if row["number"] not in self.done]
        append_lines(self.path, fresh)
        self.done |= {row["number"] for row in fresh}

    def finish(self, rows: list[dict[str, Any]]) -> None:
        """Puts the lines into the order of the part's rows, each item once."""
        found = {row["number"]: row for row in read_lines(self.path)}
        lines = [json.dumps(found[row["number"]], ensure_ascii=False) + "\n" for row in rows]
        write_text(self.path, "".join(lines))


def line(
    row: dict[str, Any],
    answer: str | None,
    p: dict[str, float] | None = None,
    logprob: float | None = None,
    latency_ms: float | None = None,
    tokens: int | None = None,
) -> dict[str, Any]:
    """One prediction for one row. `latency_ms` is the batch's time divided by its items."""
    return {
        "item": row["item"],
        "number": row["number"],
        "answer": answer,
        "p": None if p is None else {label: float(value) for label, value in p.items()},
        "logprob": logprob,
        "latency_ms": None if latency_ms is None else round(latency_ms, 4),
        "tokens": tokens,
        "error": None,
    }
