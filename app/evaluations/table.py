"""Predictions as CSV, streaming. The column names are a promise: papers' scripts read them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from app.cells import guarded

FIXED = ("item", "line", "split", "group", "input", "expected", "answer", "answer_read", "correct")
LAST = ("logprob", "latency_ms", "tokens", "error")


class PredictionRow(msgspec.Struct, frozen=True):
    """One item's line; `probabilities` is aligned with the evaluation's labels."""

    item: str
    number: int
    line: int
    part: str
    group: str | None
    input: str
    expected: str
    answer: str | None
    answer_read: str | None
    correct: bool
    probabilities: Sequence[float] | None
    logprob: float | None
    latency_ms: float | None
    tokens: int | None
    error: str | None
    # Of a pooled run: the fold (from 1) that tested the item.
    fold: int | None = None


def header(labels: Sequence[str], raw: bool = False, folds: bool = False) -> list[str]:
    """The column names for a closed label set (or none); a pooled run's have `fold` at the end."""
    names = [f"p({label})" for label in labels]
    return [*FIXED, *(names if raw else map(guarded, names)), *LAST, *(("fold",) if folds else ())]


def cells(row: PredictionRow, n_labels: int, raw: bool = False) -> list[Any]:
    """One line of the CSV."""
    safe = (lambda text: text or "") if raw else guarded
    probabilities = [f"{p:.6g}" for p in row.probabilities] if row.probabilities else [""] * n_labels
    texts = (row.group, row.input, row.expected, row.answer, row.answer_read)
    return [
        row.item,
        row.line,
        row.part,
        *map(safe, texts),
        "true" if row.correct else "false",
        *probabilities,
        *("" if value is None else f"{value:.6g}" for value in (row.logprob, row.latency_ms)),
        "" if row.tokens is None else row.tokens,
        safe(row.error),
        *([] if row.fold is None else [row.fold]),
    ]
