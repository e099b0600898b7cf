"""Keeps the points of a run's curves in the database. Called by the steps of local and of hosted runs."""

from sqlalchemy import delete, insert
from sqlmodel import Session, col

from app.tables import Run, RunMetric


def store_points(session: Session, run: Run, points: list[tuple[str, int, float]]) -> None:
    """Adds points (name, step, value). Steps that come again, after a restart or a second look, replace the older."""
    newest = {(name, step): value for name, step, value in points}
    for name in {name for name, _ in newest}:
        steps = [step for own, step in newest if own == name]
        session.execute(
            delete(RunMetric).where(
                col(RunMetric.run_id) == run.id,
                col(RunMetric.name) == name,
                col(RunMetric.step).between(min(steps), max(steps)),
            )
        )
    rows = [{"run_id": run.id, "name": name, "step": step, "value": v} for (name, step), v in newest.items()]
    if rows:
        session.execute(insert(RunMetric), rows)
