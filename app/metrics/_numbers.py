"""Pairs of expected and answered numbers. Items whose answer is no number are left out and counted."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.metrics._base import Sample, Value


@dataclass(frozen=True)
class Numbers:
    """Aligned; `items` are the places of the items in the sample, `missing` counts items whose answer (or expected answer) is no number."""

    expected: NDArray[np.float64]
    answered: NDArray[np.float64]
    items: NDArray[np.int64]
    missing: int

    def told(self, value: Value) -> Value:
        """The value with the count of items that are not in it."""
        return replace(value, detail={**value.detail, "no_number": self.missing})


def numbers(sample: Sample) -> Numbers | None:
    """Reads the numbers of a sample; None for no items at all."""
    rows = [
        (wanted, said, place)
        for place, (gold, answer) in enumerate(zip(sample.expected, sample.answers, strict=True))
        if (wanted := _number(gold)) is not None and (said := _number(answer)) is not None
    ]
    if not sample.expected:
        return None
    expected = np.array([row[0] for row in rows], dtype=float)
    answered = np.array([row[1] for row in rows], dtype=float)
    items = np.array([row[2] for row in rows], dtype=np.int64)
    return Numbers(expected, answered, items, len(sample.expected) - len(rows))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    # Larger ones overflow when squared.
    return number if math.isfinite(number) and abs(number) < 1e150 else None
