"""Reads predictions with their items and readings, for pages, CSV and the API."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from app.datasets.stored import StoredItem, items_by_number
from app.errors import NotFound
from app.evaluations.answers import Rules
from app.evaluations.looks import note_look
from app.evaluations.pool import fold_numbers
from app.evaluations.service import newest_scoring
from app.evaluations.table import PredictionRow
from app.lab.actor import Actor, find
from app.runs.lock import check_unlocked
from app.tables import Dataset, Evaluation, Prediction, Reading, Run, Scoring, Split

BATCH = 1_000


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
    folds = fold_numbers(session, scored.run)
    while left > 0:
        query = (
            select(Prediction, Reading)
            .where(
                Prediction.evaluation_id == scored.evaluation.id,
                Reading.scoring_id == scored.scoring.id,
                Reading.number == Prediction.number,
                Prediction.number > after,
            )
            .order_by(col(Prediction.number))
            .limit(min(left, BATCH))
        )
        if wrong_only:
            query = query.where(col(Reading.correct).is_(False))
        batch = session.exec(query).all()
        if not batch:
            return
        items = items_by_number(session, scored.dataset, scored.split, [row[0].number for row in batch])
        for prediction, reading in batch:
            row = make_row(items[prediction.number], prediction, reading, scored.evaluation.part)
            yield replace(row, fold=folds.get(row.number)) if folds else row
        after, left = batch[-1][0].number, left - len(batch)
        session.expunge_all()


def make_row(item: StoredItem, prediction: Prediction, reading: Reading, part: str) -> PredictionRow:
    """Joins an item with what was answered and how it was read."""
    return PredictionRow(
        item=item.item_id,
        number=item.number,
        line=item.line,
        part=part,
        group=item.group,
        input=item.input,
        expected=item.answer,
        answer=prediction.answer,
        answer_read=reading.answer_read,
        correct=reading.correct,
        probabilities=prediction.probabilities,
        logprob=prediction.logprob,
        latency_ms=prediction.latency_ms,
        tokens=prediction.tokens,
        error=prediction.error,
    )
