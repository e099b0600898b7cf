"""Puts answers that were asked for again into an evaluation that exists, and scores it anew. Called by finish.py.

What was answered before is not touched; older scorings stay as they were.
"""

from collections.abc import Iterable

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.evaluations.answers import Rules, default_rules
from app.evaluations.service import NewPrediction, score_evaluation
from app.tables import Dataset, Evaluation, Prediction, Run, Scoring


def refill(
    session: Session, run: Run, evaluation: Evaluation, predictions: Iterable[NewPrediction]
) -> Scoring | None:
    """Fills in items that had no answer and have one now, under the rules of the newest scoring; None where there is
    nothing to fill in."""
    lacking = set(
        session.exec(
            select(Prediction.number).where(
                Prediction.evaluation_id == evaluation.id, col(Prediction.error).is_not(None)
            )
        )
    )
    filled = [row for row in predictions if row.number in lacking]
    for row in filled:
        values = {name: value for name, value in row._asdict().items() if name != "number"}
        here = (col(Prediction.evaluation_id) == evaluation.id, col(Prediction.number) == row.number)
        session.execute(update(Prediction).where(*here).values(**values))
    if not any(row.error is None for row in filled):
        return None
    return score_evaluation(session, evaluation, run, _rules(session, run, evaluation))


def _rules(session: Session, run: Run, evaluation: Evaluation) -> Rules:
    newest = session.exec(
        select(Scoring.rules)
        .where(Scoring.evaluation_id == evaluation.id)
        .order_by(col(Scoring.id).desc())
        .limit(1)
    ).first()
    if not newest:
        return default_rules(session.get_one(Dataset, run.dataset_id).task)
    return Rules.from_json(newest)
