"""One side of a pair: a model with all its seeds among the runs that are compared. Pure."""

from collections.abc import Sequence

from app.evaluations.leaderboard import LeaderboardRow

MOST_SEEDS = 20


def model_of(row: LeaderboardRow) -> tuple[object, ...]:
    """What the seeds of one model have in common."""
    return row.experiment_id, row.model, row.variant, row.fold, row.pooled


def seeds_of(run: LeaderboardRow, rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """The run with the other scored seeds of its model, in the order of their ids; alone if it has no seed."""
    found = [
        row for row in rows if model_of(row) == model_of(run) and row.scoring_id and row.seed is not None
    ]
    if all(row.run_id != run.run_id for row in found):
        return [run]
    return sorted(found, key=lambda row: row.run_id)[:MOST_SEEDS]


def side_name(rows: Sequence[LeaderboardRow]) -> str:
    """The model, with its seed or how many it has."""
    first = rows[0]
    named = " ".join(part for part in (first.label, first.variant) if part)
    return first.name if len(rows) == 1 else f"{named}, {len(rows)} seeds"
