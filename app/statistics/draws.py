"""Resampling of items or whole groups: sums of the same resamples for several metrics or models at once.

Efron B (1979), Annals of Statistics 7:1-26. Items that add the same row are drawn together, as counts of a
multinomial; else one weight per item is drawn, times the rows in one matrix product. Memory holds one chunk.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from app.statistics.sums import Array, Numbers, Sums

SEED = 1987
RESAMPLES = 10_000
FEWEST_GROUPS = 20
# Weights that are held at once.
CHUNK = 2_000_000
# A count of a multinomial costs about as much as drawing this many items.
COST_OF_A_COUNT = 10


@dataclass(frozen=True)
class Grouping:
    """The unit (0, 1, ...) that each item is drawn with; `count` units. Fewer than items: whole groups."""

    unit: Numbers
    count: int

    @property
    def whole_groups(self) -> bool:
        """Whether groups are drawn, and not items."""
        return self.count < len(self.unit)


def grouping(groups: Sequence[str | None]) -> Grouping:
    """Items of one group are drawn together; with fewer than 20 groups their spread cannot be estimated, and
    items are drawn. An item without a group is a unit of its own.

    Cluster resampling: Davison AC, Hinkley DV (1997), Bootstrap Methods, 3.8; for evaluations of language
    models: Miller E (2024), arXiv:2411.00640, section 2.2.
    """
    n = len(groups)
    if any(group is not None for group in groups):
        names: dict[object, int] = {}
        unit = [names.setdefault(i if group is None else group, len(names)) for i, group in enumerate(groups)]
        if FEWEST_GROUPS <= len(names) < n:
            return Grouping(np.array(unit, dtype=np.int64), len(names))
    return Grouping(np.arange(n, dtype=np.int64), n)


def grouping_by_number(groups: Numbers) -> Grouping:
    """grouping() of groups that are numbers already; -1 for an item without one."""
    n = len(groups)
    alone = groups < 0
    if n and not alone.all():
        names, unit = np.unique(groups, return_inverse=True)
        unit = unit.astype(np.int64)
        unit[alone] = len(names) + np.arange(int(alone.sum()))
        _, unit = np.unique(unit, return_inverse=True)
        count = int(unit.max()) + 1
        if FEWEST_GROUPS <= count < n:
            return Grouping(unit.astype(np.int64), count)
    return Grouping(np.arange(n, dtype=np.int64), n)


@dataclass(frozen=True)
class Table:
    """What is drawn from: `counts` units add each row (rows × the columns of all sides)."""

    rows: Array
    counts: Numbers
    sides: tuple[Sums, ...]

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(self.counts.sum())

    def values(self, sums: Array) -> Array:
        """Each side's metric (resamples × sides) of summed rows."""
        found, start = [], 0
        for side in self.sides:
            width = side.cells.shape[1]
            found.append(side.statistic(sums[:, start : start + width]))
            start += width
        return np.column_stack(found)

    @property
    def total(self) -> Array:
        """Each side's metric on all units, one row."""
        with np.errstate(all="ignore"):
            return self.values((self.counts @ self.rows)[None, :])


def table(sides: Sequence[Sums], drawn: Grouping) -> Table:
    """The table of several metrics or models over the same items; rows sorted, so that the order of the items
    has no part in what is drawn."""
    n = len(sides[0].of)
    if drawn.whole_groups:
        rows = np.column_stack([_by_unit(side, drawn) for side in sides])
        counts = np.ones(drawn.count, dtype=np.int64)
    elif (found := _joint(sides, n)) is not None:
        first, counts = found
        rows = np.column_stack([side.cells[side.of[first]] for side in sides])
    else:
        rows = np.column_stack([side.cells[side.of] for side in sides])
        counts = np.ones(n, dtype=np.int64)
    order = np.lexsort(rows.T)
    return Table(rows[order], counts[order], tuple(sides))


def _by_unit(side: Sums, drawn: Grouping) -> Array:
    return np.column_stack(
        [np.bincount(drawn.unit, column[side.of], minlength=drawn.count) for column in side.cells.T]
    )


def _joint(sides: Sequence[Sums], n: int) -> tuple[Numbers, Numbers] | None:
    """(one item of each joint cell, how many items it has), or None when cells are too many to be worth it."""
    most = n // COST_OF_A_COUNT
    if n == 0 or any(len(side.cells) >= n for side in sides):
        return None
    code = np.zeros(n, dtype=np.int64)
    for side in sides:
        _, first, code, counts = np.unique(
            code * len(side.cells) + side.of, return_index=True, return_inverse=True, return_counts=True
        )
        if len(first) > most:
            return None
    return first, counts


def weights(counts: Numbers, resamples: int, seed: int, items: int = 0) -> Iterator[Array]:
    """How often each row was drawn, in chunks (resamples × rows) that together are `resamples` long; `items`: how
    many numbers a caller makes of each resample, when they are more than rows."""
    random = np.random.default_rng(seed)
    rows, units = len(counts), int(counts.sum())
    size = max(1, CHUNK // max(1, rows, items))
    while resamples > 0:
        size = min(size, resamples)
        if rows < units:
            drawn = random.multinomial(units, counts / units, size)
        else:
            places = random.integers(0, rows, (size, rows), dtype=np.uint32).astype(np.int64)
            places += np.arange(size)[:, None] * rows
            drawn = np.bincount(places.ravel(), minlength=size * rows).reshape(size, rows)
        yield drawn.astype(np.float64)
        resamples -= size


@lru_cache
def _pools() -> Any:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Matrix products on one thread within the block: these are thin, and threads that wait for each other on a busy
    machine made them six times slower than one alone."""
    pools: AbstractContextManager[Any] = _pools().limit(limits=1, user_api="blas")
    return pools


def resampled(drawn: Table, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Each side's metric on seeded resamples (resamples × sides)."""
    with np.errstate(all="ignore"), one_thread():
        chunks = [drawn.values(chunk @ drawn.rows) for chunk in weights(drawn.counts, resamples, seed)]
    return np.concatenate(chunks)
