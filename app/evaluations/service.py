"""Stores predictions, reads them under answer rules and scores them. Called by workers, import and re-scoring."""

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from sqlalchemy import insert
from sqlmodel import Session, col, select

from app.datasets.leaks import leaked_numbers
from app.datasets.stored import StoredItem, part_items
from app.errors import NotFound
from app.evaluations.answers import Rules, is_correct, read_answers, read_expected
from app.evaluations.judge_marks import with_marks
from app.evaluations.outcomes import pack
from app.evaluations.score import score
from app.lab.actor import Actor, find, require_member
from app.metrics import Sample
from app.runs.lock import check_unlocked
from app.tables import Dataset, Evaluation, Prediction, Reading, Run, Score, Scoring, Split

BATCH = 5_000


class NewPrediction(NamedTuple):
    """One row to store; `probabilities` is aligned with the labels."""

    number: int
    answer: str | None
    probabilities: list[float] | None = None
    logprob: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    error: str | None = None


def store_evaluation(
    session: Session,
    run: Run,
    labels: list[str],
    predictions: Iterable[NewPrediction],
    decoding: dict[str, object],
    matched_by: str = "",
    part: str = "test",
) -> Evaluation:
    """Writes the evaluation of one part with all its predictions."""
    evaluation = Evaluation(
        run_id=run.id or 0,
        project_id=run.project_id,
        maker_id=run.maker_id,
        part=part,
        labels=labels,
        decoding=decoding,
        matched_by=matched_by,
    )
    session.add(evaluation)
    session.flush()
    rows = [{"evaluation_id": evaluation.id, **prediction._asdict()} for prediction in predictions]
    for start in range(0, len(rows), BATCH):
        session.execute(insert(Prediction), rows[start : start + BATCH])
    evaluation.items = len(rows)
    times = [row["latency_ms"] for row in rows if row["latency_ms"] is not None]
    tokens = [row["tokens"] for row in rows if row["tokens"] is not None]
    evaluation.latency_ms = median(times) if times else None
    evaluation.tokens = sum(tokens) if tokens else None
    session.flush()
    return evaluation


def score_evaluation(session: Session, evaluation: Evaluation, run: Run, rules: Rules) -> Scoring:
    """Reads every answer under `rules` and stores readings and scores: a new scoring, older ones stay. Where test
    items stand in train too, the scores on the others are stored beside those on all."""
    dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
    predictions = {
        row.number: row
        for row in session.exec(select(Prediction).where(Prediction.evaluation_id == evaluation.id))
    }
    items = [
        item for item in part_items(session, dataset, split, evaluation.part) if item.number in predictions
    ]
    scoring = Scoring(
        evaluation_id=evaluation.id or 0,
        project_id=run.project_id,
        maker_id=run.maker_id,
        rules=rules.to_json(),
    )
    session.add(scoring)
    session.flush()
    sample = make_sample(
        dataset, items, [predictions[item.number] for item in items], evaluation.labels, rules
    )
    sample = with_marks(session, sample, evaluation.id or 0, [item.number for item in items])
    failed = [bool(predictions[item.number].error) for item in items]
    _store_readings(session, scoring, items, sample, failed)
    leaked = leaked_numbers(session, split, evaluation.part)
    _store_scores(session, scoring, "all", sample)
    unseen = [place for place, item in enumerate(items) if item.number not in leaked]
    if 0 < len(unseen) < len(items):
        _store_scores(session, scoring, "unseen", sample.only(unseen))
    session.flush()
    return scoring


def _store_scores(session: Session, scoring: Scoring, subset: str, sample: Sample) -> None:
    for name, value in score(sample).items():
        session.add(
            Score(
                scoring_id=scoring.id or 0,
                name=name,
                subset=subset,
                value=value.value,
                low=value.low,
                high=value.high,
                n=value.n,
                detail=value.detail or {},
            )
        )


def make_sample(
    dataset: Dataset, items: list[StoredItem], predictions: list[Prediction], labels: list[str], rules: Rules
) -> Sample:
    """The columns that metrics take, aligned by item. An item with an error counts as not answered."""
    task, golds = dataset.task, [item.answer for item in items]
    given = (None if row.error else row.answer for row in predictions)
    answers = read_answers(given, rules, task, labels)
    return Sample(
        task=task,
        labels=tuple(labels),
        expected=[read_expected(gold, rules, task, labels) for gold in golds],
        answers=answers,
        correct=[is_correct(read, gold, rules, task) for read, gold in zip(answers, golds, strict=True)],
        probabilities=[row.by_label(labels) for row in predictions],
        groups=[item.group for item in items],
        raw=[row.answer for row in predictions],
    )


def _store_readings(
    session: Session, scoring: Scoring, items: list[StoredItem], sample: Sample, failed: list[bool]
) -> None:
    rows = [
        {"scoring_id": scoring.id, "number": item.number, "answer_read": read, "correct": correct}
        for item, read, correct in zip(items, sample.answers, sample.correct, strict=True)
    ]
    for start in range(0, len(rows), BATCH):
        session.execute(insert(Reading), rows[start : start + BATCH])
    numbers = [item.number for item in items]
    session.add(pack(scoring.id or 0, numbers, sample.correct, sample.answers, failed))


def rescore_run(session: Session, actor: Actor, run_id: int, rules: Rules) -> Scoring:
    """Reads a finished run's answers under new rules, without predicting again; gives the test part's scoring.

    Raises NotFound for a run without predictions, Forbidden while its test set is locked.
    """
    require_member(actor, "score runs anew")
    run = find(session, actor, Run, run_id)
    check_unlocked(session, [run_id])
    evaluations = session.exec(
        select(Evaluation).where(Evaluation.run_id == run.id).order_by(col(Evaluation.part))
    ).all()
    if not evaluations:
        raise NotFound(f"Run {run_id} has no predictions yet: it is {run.state}.", "Wait until it is done.")
    return {one.part: score_evaluation(session, one, run, rules) for one in evaluations}["test"]


def newest_scoring(session: Session, run_id: int) -> tuple[Evaluation, Scoring] | None:
    """The run's test evaluation and its newest scoring; None before it is scored."""
    found = session.exec(
        select(Evaluation, Scoring)
        .where(Evaluation.run_id == run_id, Evaluation.part == "test", Scoring.evaluation_id == Evaluation.id)
        .order_by(col(Scoring.id).desc())
        .limit(1)
    ).first()
    return None if found is None else (found[0], found[1])
