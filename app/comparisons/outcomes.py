"""Right and wrong of the compared runs by item, on all test items or on those not seen in train. For queries.py,
figures and the wide CSV.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.datasets.leaks import leaked_numbers
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns, outcomes
from app.tables import Split

NOTHING = Columns(np.zeros(0, np.int32), np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int64))


def read_outcomes(
    session: Session, rows: Sequence[LeaderboardRow], splits: Mapping[int, Split], subset: str
) -> dict[int, Columns]:
    """{run id: its outcomes}; `subset` "unseen" leaves out what stands in the train part of the run's own split."""
    found = outcomes(session, [row.scoring_id or 0 for row in rows])
    seen: dict[int, Any] = {}
    if subset == "unseen":
        own = {splits[row.run_id].id or 0: splits[row.run_id] for row in rows}
        seen = {
            number: np.fromiter(leaked_numbers(session, split), np.int32) for number, split in own.items()
        }
    return {
        row.run_id: _without(
            found.get(row.scoring_id or 0, NOTHING), seen.get(splits[row.run_id].id or 0, NOTHING.numbers)
        )
        for row in rows
    }


def _without(columns: Columns, numbers: Any) -> Columns:
    if not len(numbers):
        return columns
    kept = ~np.isin(columns.numbers, numbers)
    return Columns(columns.numbers[kept], columns.right[kept], columns.error[kept], columns.answers[kept])


def group_numbers(split: Split, numbers: NDArray[np.int32]) -> NDArray[np.int64]:
    """The group of each item as a number, -1 for none."""
    if not split.groups:
        return np.full(len(numbers), -1, np.int64)
    return np.asarray(split.group_of, np.int64)[numbers]
