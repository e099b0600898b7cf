"""Reads a scoring back as the sample that its scores were computed from. Called by comparisons."""

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from app.datasets.leaks import leaked_numbers
from app.datasets.stored import group_name, items_by_number
from app.evaluations.answers import Rules, read_expected
from app.evaluations.judge_marks import with_marks
from app.metrics import Sample
from app.tables import Dataset, Evaluation, Item, Prediction, Reading, Run, Scoring, Split


def load_sample(session: Session, scoring_id: int, subset: str = "all") -> tuple[NDArray[np.int64], Sample]:
    """(item numbers, ascending; the sample aligned with them), of "all" items or of those "unseen" in train."""
    scoring = session.get_one(Scoring, scoring_id)
    evaluation = session.get_one(Evaluation, scoring.evaluation_id)
    run = session.get_one(Run, evaluation.run_id)
    dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
    leaked = leaked_numbers(session, split, evaluation.part) if subset == "unseen" else frozenset()
    rows = session.exec(
        select(
            Prediction.number,
            Prediction.answer,
            Prediction.probabilities,
            Reading.answer_read,
            Reading.correct,
            Item.label,
        )
        .where(
            Prediction.evaluation_id == evaluation.id,
            Reading.scoring_id == scoring_id,
            Reading.number == Prediction.number,
            Item.dataset_id == dataset.id,
            Item.number == Prediction.number,
        )
        .order_by(col(Prediction.number))
    )
    found = [row for row in rows if row[0] not in leaked]
    # Longer answers stand in the file alone.
    texts = items_by_number(session, dataset, split, [row[0] for row in found if row[5] is None])
    golds = [texts[row[0]].answer if row[5] is None else row[5] for row in found]
    rules, labels = Rules.from_json(scoring.rules), tuple(evaluation.labels)
    known = {gold: read_expected(gold, rules, dataset.task, labels) for gold in set(golds)}
    sample = Sample(
        task=dataset.task,
        labels=labels,
        expected=[known[gold] for gold in golds],
        answers=[row[3] for row in found],
        correct=[bool(row[4]) for row in found],
        probabilities=[dict(zip(labels, row[2], strict=True)) if row[2] else None for row in found],
        groups=[group_name(split, row[0]) for row in found],
        raw=[row[1] for row in found],
    )
    numbers = [row[0] for row in found]
    return np.array(numbers, dtype=np.int64), with_marks(session, sample, evaluation.id or 0, numbers)
