"""Items with the answers of several runs, for the page, the API and exports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from app.datasets.stored import StoredItem, items_by_number
from app.evaluations.leaderboard import LeaderboardRow
from app.tables import Dataset, Prediction, Reading, Split


@dataclass(frozen=True)
class Answer:
    """What one run answered for one item; `probabilities` are (label, p)."""

    read: str | None
    given: str | None
    correct: bool
    probabilities: list[tuple[str, float]]
    logprob: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class ComparedItem:
    """One line of the table: the item once, an answer per run (None where a run has none)."""

    item: StoredItem
    answers: list[Answer | None]


def compared_items(
    session: Session, rows: Sequence[LeaderboardRow], dataset: Dataset, split: Split, numbers: Sequence[int]
) -> list[ComparedItem]:
    """The items with every run's answer, in the order of `numbers`: two queries."""
    items = items_by_number(session, dataset, split, numbers, shown=True)
    answers = _answers(session, rows, numbers, dataset.labels)
    return [
        ComparedItem(items[number], [answers.get((row.evaluation_id or 0, number)) for row in rows])
        for number in numbers
        if number in items
    ]


def _answers(
    session: Session, rows: Sequence[LeaderboardRow], numbers: Sequence[int], labels: list[str]
) -> dict[tuple[int, int], Answer]:
    """{(evaluation id, item number): answer}."""
    found = session.exec(
        select(Prediction, Reading)
        .join(Reading, col(Reading.number) == Prediction.number)
        .where(
            or_(*(_of_run(row) for row in rows)),
            col(Prediction.number).in_(numbers),
        )
    )
    return {
        (made.evaluation_id, made.number): Answer(
            reading.answer_read,
            made.answer,
            reading.correct,
            list(zip(labels, made.probabilities or [], strict=False)),
            made.logprob,
            made.latency_ms,
            made.tokens,
            made.error,
        )
        for made, reading in found
    }


def _of_run(row: LeaderboardRow) -> Any:
    return and_(col(Prediction.evaluation_id) == row.evaluation_id, col(Reading.scoring_id) == row.scoring_id)
