"""Runs' outcomes side by side, joined by item, and the filters over them. Pure; called by queries.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluations.outcomes import Columns


@dataclass(frozen=True)
class Aligned:
    """Several runs on the items that all of them answered. `numbers` rise (items); the rest is runs × items."""

    numbers: NDArray[np.int32]
    right: NDArray[np.bool_]
    error: NDArray[np.bool_]
    answers: NDArray[np.int64]


def align(columns: Sequence[Columns]) -> Aligned:
    """Joins by item number; needs at least one run."""
    first = columns[0].numbers
    if all(np.array_equal(first, one.numbers) for one in columns[1:]):
        return Aligned(
            first,
            np.array([one.right for one in columns]),
            np.array([one.error for one in columns]),
            np.array([one.answers for one in columns]),
        )
    numbers = reduce(_shared, (one.numbers for one in columns))
    places = [np.searchsorted(one.numbers, numbers) for one in columns]
    joined = list(zip(columns, places, strict=True))
    return Aligned(
        numbers,
        np.array([one.right[place] for one, place in joined]),
        np.array([one.error[place] for one, place in joined]),
        np.array([one.answers[place] for one, place in joined]),
    )


def _shared(one: Any, other: Any) -> Any:
    return np.intersect1d(one, other, assume_unique=True)


def two_by_two(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(both right, only a, only b, neither) of two rows of right and wrong."""
    both, right_a, right_b = int((a & b).sum()), int(a.sum()), int(b.sum())
    return both, right_a - both, right_b - both, len(a) - right_a - right_b + both


def shown(aligned: Aligned, show: str, a: int, b: int) -> NDArray[np.bool_]:
    """Which items a filter (one of choice.SHOWS) lets through; `a` and `b` are rows of the pair."""
    right = aligned.right
    if show == "disagree":
        return np.asarray((aligned.answers != aligned.answers[0]).any(axis=0))
    if show == "all_wrong":
        return np.asarray(~right.any(axis=0))
    if show == "error":
        return np.asarray(aligned.error.any(axis=0))
    if show == "regression":
        return right[b] & ~right.all(axis=0)
    pair = {
        "only_a": right[a] & ~right[b],
        "only_b": right[b] & ~right[a],
        "both": right[a] & right[b],
        "neither": ~right[a] & ~right[b],
    }
    return pair.get(show, np.ones(len(aligned.numbers), bool))


def page_of(numbers: NDArray[np.int32], after: int, before: int, size: int) -> tuple[list[int], int, int]:
    """(one page of rising numbers, the `before` of the page above or -1, the `after` of the page below or -1).

    Behind `after`, or else the last ones ahead of `before`.
    """
    if before >= 0:
        end = int(np.searchsorted(numbers, before))
        start = max(end - size, 0)
    else:
        start = int(np.searchsorted(numbers, after, side="right"))
        end = min(start + size, len(numbers))
    found = numbers[start:end].tolist()
    above = int(numbers[start]) if 0 < start < len(numbers) else -1
    below = found[-1] if found and end < len(numbers) else -1
    return found, above, below
