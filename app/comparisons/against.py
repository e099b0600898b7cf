"""Every compared model against the chosen baseline: difference, interval, p, and p corrected by Holm for all of them.

Pure; called by queries.py. A model's seeds count by their mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.comparisons.aligned import align
from app.comparisons.outcomes import group_numbers
from app.comparisons.sentence import SIGNIFICANT, points
from app.comparisons.sides import model_of, seeds_of, side_name
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns
from app.format import joined, plural
from app.statistics import PairedRates, grouping_by_number, holm, paired_rates
from app.tables import Split


@dataclass(frozen=True)
class Against:
    """One model against the baseline on the `items` that all runs of both answered: shares of right answers, their
    difference with its interval (shares of 1), p, and p corrected for all lines. `groups` were counted whole (0: items
    one by one)."""

    runs: tuple[LeaderboardRow, ...]
    name: str
    items: int
    groups: int
    rate: float
    rate_of_baseline: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        """Ahead, behind or within noise; never more than the corrected p and the interval allow."""
        if self.p_holm >= SIGNIFICANT or self.low <= 0 <= self.high:
            return "within noise"
        return "ahead" if self.difference > 0 else "behind"


@dataclass(frozen=True)
class AllAgainst:
    """The table; `baseline` are the seeds of the baseline's model."""

    baseline: tuple[LeaderboardRow, ...]
    name: str
    lines: tuple[Against, ...]
    sentence: str


def all_against(
    baseline: LeaderboardRow,
    rows: Sequence[LeaderboardRow],
    columns: Mapping[int, Columns],
    splits: Mapping[int, Split],
) -> AllAgainst:
    """Each other model among `rows`, in their order; those that share no items with the baseline are left out."""
    own = seeds_of(baseline, rows)
    sides: dict[tuple[object, ...], list[LeaderboardRow]] = {}
    for row in rows:
        if model_of(row) != model_of(baseline):
            sides.setdefault(model_of(row), seeds_of(row, rows))
    lines = [line for side in sides.values() if (line := _line(side, own, columns, splits[side[0].run_id]))]
    corrected = holm([line.p for line in lines])
    lines = [replace(line, p_holm=p) for line, p in zip(lines, corrected, strict=True)]
    name = side_name(own)
    return AllAgainst(tuple(own), name, tuple(lines), _sentence(name, lines))


def _line(
    side: Sequence[LeaderboardRow],
    baseline: Sequence[LeaderboardRow],
    columns: Mapping[int, Columns],
    split: Split,
) -> Against | None:
    aligned = align([columns[row.run_id] for row in (*side, *baseline)])
    if not len(aligned.numbers):
        return None
    right_a, right_b = aligned.right[: len(side)], aligned.right[len(side) :]
    drawn = grouping_by_number(group_numbers(split, aligned.numbers))
    found: PairedRates = paired_rates(right_a, right_b, drawn)
    return Against(
        tuple(side),
        side_name(side),
        len(aligned.numbers),
        found.units if found.whole_groups else 0,
        float(np.mean(right_a)),
        float(np.mean(right_b)),
        found.difference,
        found.low,
        found.high,
        found.p,
        found.p,
    )


def _sentence(baseline: str, lines: Sequence[Against]) -> str:
    """One plain sentence on the whole table."""
    if not lines:
        return ""
    how = f"After Holm’s correction for {len(lines)} models" if len(lines) > 1 else "By the exact test"
    apart = [line for line in lines if line.verdict != "within noise"]
    if not apart:
        one = "the model" if len(lines) == 1 else "no model"
        return f"{how}, {one} can{'not' if len(lines) == 1 else ''} be told from {baseline}."
    said = []
    for verdict, words in (("ahead", f"ahead of {baseline}"), ("behind", f"behind {baseline}")):
        those = [line for line in apart if line.verdict == verdict]
        if those:
            named = joined(f"{line.name} ({_points(line)})" for line in those)
            said.append(f"{named} {'is' if len(those) == 1 else 'are'} {words}")
    rest = len(lines) - len(apart)
    others = f"; {plural(rest, 'other')} cannot be told from it" if rest else ""
    return f"{how}, {' and '.join(said)}{others}."


def _points(line: Against) -> str:
    return f"{'+' if line.difference > 0 else ''}{points(line.difference)} points"
