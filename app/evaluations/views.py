"""What the API says of a run with its scores, and of a scoring."""

from dataclasses import asdict
from typing import Any

from sqlmodel import Session, col

from app.evaluations.leaderboard import LeaderboardRow, leaderboard
from app.lab.actor import Actor, find
from app.runs.hosted_view import hosted_json
from app.runs.queries import run_view
from app.tables import Run


def scores_json(row: LeaderboardRow) -> dict[str, Any]:
    """{metric: {value, low, high, n, label, format, direction, detail}}; rates lie in 0..1."""
    return {
        name: {key: value for key, value in asdict(score).items() if key != "name"}
        for name, score in row.scores.items()
    }


def _unseen(session: Session, actor: Actor, run_id: int) -> LeaderboardRow:
    return leaderboard(session, actor, [col(Run.id) == run_id], "unseen")[0]


def run_json(session: Session, actor: Actor, run_id: int) -> dict[str, Any]:
    """A run as the API gives it."""
    run: Run = find(session, actor, Run, run_id)
    view = run_view(session, actor, run_id)
    row = leaderboard(session, actor, [col(Run.id) == run_id])[0]
    return {
        "id": run.id,
        "experiment_id": run.experiment_id,
        "dataset_id": run.dataset_id,
        "model": run.model,
        "seed": run.seed,
        "state": run.state,
        "progress": run.progress,
        "progress_note": run.progress_note,
        "seconds_left": run.seconds_left,
        "cancel_asked": run.cancel_asked,
        "error": run.error or None,
        "hint": run.hint or None,
        "ledger": run.ledger,
        "snapshot": run.snapshot,
        "estimate": run.estimate,
        "cost_microdollars": view.microdollars,
        # The job at the hosted service; None for runs of this machine.
        "service": hosted_json(view.hosted),
        "seconds": view.seconds,
        "launched_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "scores": scores_json(row),
        # On the test items that do not stand in train too; None where none of them does.
        "scores_unseen": scores_json(_unseen(session, actor, run_id)) if row.unseen is not None else None,
        "scoring_id": row.scoring_id,
        "items": row.items,
        "files": [
            {"label": file.label, "href": file.href, "size_bytes": file.size_bytes} for file in view.files
        ],
    }
