"""The judge score of a run among its other scores. Called when a judging has ended."""

from sqlmodel import Session, col, select

from app.evaluations.samples import load_sample
from app.metrics.judge_score import METRIC
from app.tables import Score, Scoring


def store_judge_score(session: Session, evaluation_id: int) -> None:
    """Computes the judge score of the evaluation's newest scoring anew; on unseen items too, where others are."""
    scoring = session.exec(
        select(Scoring)
        .where(Scoring.evaluation_id == evaluation_id)
        .order_by(col(Scoring.id).desc())
        .limit(1)
    ).one()
    subsets = session.exec(select(Score.subset).where(Score.scoring_id == scoring.id).distinct()).all()
    for subset in subsets:
        old = session.get(Score, (scoring.id, METRIC.name, subset))
        if old:
            session.delete(old)
            session.flush()
        _, sample = load_sample(session, scoring.id or 0, subset)
        value = METRIC.compute(sample)
        if value is not None:
            session.add(
                Score(
                    scoring_id=scoring.id or 0,
                    name=METRIC.name,
                    subset=subset,
                    value=value.value,
                    low=value.low,
                    high=value.high,
                    n=value.n,
                    detail=value.detail,
                )
            )
    session.flush()
