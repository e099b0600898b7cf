"""The runs of folds put under the run that pools them, with the spread of their scores. Pure; used by queries.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from app.evaluations.columns import written
from app.evaluations.leaderboard import LeaderboardRow
from app.tables import Split


@dataclass(frozen=True)
class FoldScore:
    """One fold's own score; `name` is the group that was left out, or the fold's number."""

    number: int
    name: str
    run_id: int
    value: float | None
    text: str
    items: int


@dataclass(frozen=True)
class FoldLine:
    """A pooled run with its folds. `deviation` is the sample standard deviation (n - 1) of the folds' scores:
    the spread between folds, no interval of the pooled score."""

    row: LeaderboardRow
    folds: tuple[FoldScore, ...]
    mean: float | None
    deviation: float | None
    lowest: float | None
    highest: float | None

    @property
    def texts(self) -> tuple[str, str, str, str, str]:
        """Pooled score, mean, deviation, lowest and highest, in the metric's format."""
        score = self.row.primary
        form = score.format if score else ""
        numbers = (score.value if score else None, self.mean, self.deviation, self.lowest, self.highest)
        return tuple(written(number, form) for number in numbers)  # type: ignore[return-value]


def by_fold(rows: Sequence[LeaderboardRow], split: Split) -> tuple[list[LeaderboardRow], list[FoldLine]]:
    """(the rows to show, the pooled ones with their folds): folds go under the pooled run as soon as it is there."""
    pooled = {_cell(row): row for row in rows if row.pooled}
    shown = [row for row in rows if row.fold is None or _cell(row) not in pooled]
    lines = []
    for row in shown:
        if row.pooled:
            folds = sorted(
                (one for one in rows if one.fold and _cell(one) == _cell(row)), key=lambda one: one.fold or 0
            )
            lines.append(_line(row, folds, split))
    return shown, lines


def _cell(row: LeaderboardRow) -> tuple[str, str, int | None]:
    return row.model, row.variant, row.seed


def _line(row: LeaderboardRow, folds: Sequence[LeaderboardRow], split: Split) -> FoldLine:
    scores = tuple(_score(one, split) for one in folds)
    values = [score.value for score in scores if score.value is not None]
    return FoldLine(
        row,
        scores,
        mean(values) if values else None,
        stdev(values) if len(values) > 1 else None,
        min(values, default=None),
        max(values, default=None),
    )


def _score(row: LeaderboardRow, split: Split) -> FoldScore:
    number, score = row.fold or 0, row.primary
    left_out = split.parameters.get("folds") == len(split.groups) and "seed" not in split.parameters
    name = split.groups[number - 1] if left_out else str(number)
    value = score.value if score else None
    return FoldScore(
        number, name, row.run_id, value, written(value, score.format if score else ""), row.items
    )
