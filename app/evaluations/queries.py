"""Reads predictions with their items and readings, for pages, CSV and the API."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.json import decode as loads
from sqlalchemy import Text, cast
from sqlmodel import Session, col, select

from app.datasets.stored import item_texts, open_rows
from app.errors import NotFound
from app.evaluations.answers import Rules
from app.evaluations.looks import note_look
from app.evaluations.pool import fold_numbers
from app.evaluations.service import newest_scoring
from app.evaluations.table import PredictionRow
from app.lab.actor import Actor, find
from app.runs.lock import check_unlocked
from app.tables import Dataset, Evaluation, Prediction, Reading, Run, Scoring, Split

BATCH = 500


@dataclass(frozen=True)
class ScoredRun:
    """A run with its evaluation and the scoring that is shown."""

    run: Run
    dataset: Dataset
    split: Split
    evaluation: Evaluation
    scoring: Scoring
    rules: Rules


def scored_run(session: Session, actor: Actor, run_id: int) -> ScoredRun:
    """The run with its newest scoring of the test part.

    Raises NotFound while there is none, Forbidden while the experiment's test set is locked.
    """
    run = find(session, actor, Run, run_id)
    check_unlocked(session, [run_id])
    found = newest_scoring(session, run.id)
    if found is None:
        raise NotFound(
            f"Run {run_id} has no predictions yet: it is {run.state}.", "They are there when the run is done."
        )
    evaluation, scoring = found
    note_look(session, [run.experiment_id])
    return ScoredRun(
        run,
        session.get_one(Dataset, run.dataset_id),
        session.get_one(Split, run.split_id),
        evaluation,
        scoring,
        Rules.from_json(scoring.rules),
    )


def prediction_rows(
    session: Session,
    scored: ScoredRun,
    *,
    after: int = -1,
    limit: int | None = None,
    wrong_only: bool = False,
) -> Iterator[PredictionRow]:
    """Rows in the order of the items, starting behind item number `after`, read in batches."""
    left = limit if limit is not None else 2**62
    folds, part = fold_numbers(session, scored.run), scored.evaluation.part
    with open_rows(scored.dataset, shown=True) as reader:
        while left > 0:
            batch = _answers(session, scored, after, min(left, BATCH), wrong_only)
            numbers = [number for number, *_ in batch]
            items = item_texts(session, scored.dataset, scored.split, numbers, reader)
            for number, given, probabilities, logprob, latency, tokens, error, read, right in batch:
                item, line, group, text, expected = items[number]
                p = loads(probabilities) if probabilities else None
                yield PredictionRow(
                    item, number, line, part, group, text, expected, given, read, bool(right), p, logprob,
                    latency, tokens, error, folds.get(number),
                )  # fmt: skip
            if len(batch) < min(left, BATCH):
                return
            after, left = numbers[-1], left - len(batch)


def _answers(
    session: Session, scored: ScoredRun, after: int, limit: int, wrong_only: bool
) -> list[tuple[Any, ...]]:
    """What was answered and how it was read, behind item number `after`. The driver's own rows: there are many."""
    columns: tuple[Any, ...] = (
        Prediction.number, Prediction.answer, cast(Prediction.probabilities, Text), Prediction.logprob,
        Prediction.latency_ms, Prediction.tokens, Prediction.error, Reading.answer_read, Reading.correct,
    )  # fmt: skip
    query: Any = (
        select(*columns)
        .where(
            Prediction.evaluation_id == scored.evaluation.id,
            Reading.scoring_id == scored.scoring.id,
            Reading.number == Prediction.number,
            Prediction.number > after,
        )
        .order_by(col(Prediction.number))
        .limit(limit)
    )
    if wrong_only:
        query = query.where(col(Reading.correct).is_(False))
    cursor: Any = session.connection().execute(query).cursor
    return list(cursor.fetchall())
