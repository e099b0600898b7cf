"""Packs a scoring's readings into columns and reads them back. Written by scoring, read by comparisons."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from app.tables import Outcomes

RIGHT, ERROR = 1, 2


@dataclass(frozen=True)
class Columns:
    """One scoring's outcomes by item, sorted by number: `numbers` (int32), `right` and `error` (bool), and
    `answers` (int64): equal keys mean equal answers as read, 0 means none."""

    numbers: NDArray[np.int32]
    right: NDArray[np.bool_]
    error: NDArray[np.bool_]
    answers: NDArray[np.int64]


def pack(
    scoring_id: int,
    numbers: Sequence[int],
    right: Iterable[bool],
    reads: Iterable[str | None],
    errors: Iterable[bool],
) -> Outcomes:
    """The row to store; `numbers` must rise."""
    known: dict[str | None, int] = {None: 0}
    keys = [known[read] if read in known else known.setdefault(read, _key(read)) for read in reads]
    flags = [RIGHT * bool(hit) + ERROR * bool(error) for hit, error in zip(right, errors, strict=True)]
    return Outcomes(
        scoring_id=scoring_id,
        numbers=np.asarray(numbers, "<i4").tobytes(),
        flags=np.asarray(flags, "u1").tobytes(),
        answers=np.asarray(keys, "<i8").tobytes(),
    )


def _key(read: Any) -> int:
    """64 bits of the answer's hash, never 0."""
    digest = hashlib.blake2b(read.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1


def unpack(row: Outcomes) -> Columns:
    """The columns of a stored row."""
    flags = np.frombuffer(row.flags, "u1")
    return Columns(
        np.frombuffer(row.numbers, "<i4"),
        (flags & RIGHT).astype(bool),
        (flags & ERROR).astype(bool),
        np.frombuffer(row.answers, "<i8"),
    )


def outcomes(session: Session, scoring_ids: Iterable[int]) -> dict[int, Columns]:
    """{scoring id: its columns}, in one query."""
    rows = session.exec(select(Outcomes).where(col(Outcomes.scoring_id).in_(list(scoring_ids))))
    return {row.scoring_id: unpack(row) for row in rows}
