"""What the API says of an experiment and of a plan."""

from collections.abc import Sequence
from typing import Any

from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.views import scores_json
from app.experiments.convert import Conversion, Line
from app.experiments.folds import FoldLine
from app.experiments.lock import LockView
from app.experiments.plan import Plan
from app.experiments.planned import PlannedModel
from app.experiments.queries import ExperimentView


def experiment_json(view: ExperimentView) -> dict[str, Any]:
    """An experiment as the API gives it."""
    return {
        "id": view.id,
        "name": view.name,
        "dataset_id": view.dataset.id,
        "split": {
            "id": view.split.id,
            "name": view.split.name,
            "sha256": view.split.sha256,
            "counts": view.split.counts,
        },
        "state": view.state,
        "seeds": view.seeds,
        "models": view.grid,
        "runs": [_run(row) for row in view.everything],
        "design": view.design,
        "augment": view.augment,
        "choose_on": view.lock.choose_on,
        "locked": view.lock.locked,
        "unlocked": _unlocked(view.lock),
        "looks_before_this_launch": view.looks.before_this,
        "looks_before_the_last_launch": view.looks.before_last,
        "folds": [_folds(line) for line in view.folds],
    }


def _run(row: LeaderboardRow) -> dict[str, Any]:
    return {
        "id": row.run_id,
        "model": row.model,
        "variant": row.variant,
        "seed": row.seed,
        "fold": row.fold,
        "pooled": row.pooled,
        "state": row.state,
        "progress": row.progress,
        # Which part the scores are of: "validation" while the test set is locked.
        "part": row.part,
        "scores": scores_json(row),
    }


def _unlocked(lock: LockView) -> dict[str, Any] | None:
    if not lock.unlocked_at:
        return None
    return {"at": lock.unlocked_at, "by": lock.unlocked_by, "runs": lock.unlocked_runs}


def _folds(line: FoldLine) -> dict[str, Any]:
    return {
        "pooled_run": line.row.run_id,
        "mean": line.mean,
        "standard_deviation": line.deviation,
        "lowest": line.lowest,
        "highest": line.highest,
        "folds": [
            {"fold": fold.number, "name": fold.name, "run": fold.run_id, "value": fold.value}
            for fold in line.folds
        ],
    }


def plan_json(plan: Plan, rendered: Sequence[Sequence[dict[str, Any]]] = ()) -> dict[str, Any]:
    """A plan as the API gives it; times and money are those of a line and in total, `estimate` of one run. `rendered`:
    for each line its runs with the files that they would be given."""
    return {
        "runs": plan.runs,
        "seconds": plan.seconds,
        "cost_microdollars": plan.microdollars,
        "problems": plan.problems,
        # Services that are just being asked for a model's limits: the same again says more in a moment.
        "asking": plan.asking,
        "remarks": plan.remarks,
        "design": plan.design.to_json(),
        "cells": len(plan.cells.cells),
        "augment": plan.augment,
        "choose_on": plan.choose_on,
        "models": [
            _planned(row, rendered[number] if rendered else []) for number, row in enumerate(plan.rows)
        ],
    }


def _planned(row: PlannedModel, rendered: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": row.model.id,
        "compute": row.spot.name if row.spot else "",
        "seeds": row.seeds,
        "runs": len(row.runs),
        "seconds": row.seconds,
        "cost_microdollars": row.microdollars,
        "hyperparameters": row.values,
        "ledger": row.ledger,
        "estimate": row.estimate,
        "problems": row.problems,
        "rendered": list(rendered),
    }


def conversion_json(view: Conversion) -> dict[str, Any]:
    """A run with its trainer and another: `lost` has no equal there, `added` is the other's own. Posted to
    /experiments, `launch` makes the run with the other trainer."""
    return {
        "run": view.run.id,
        "from": {"trainer": view.model.trainer, "model": view.run.model, "files": dict(view.files)},
        "to": {"trainer": view.other.trainer, "model": view.other.id, "files": dict(view.other_files)},
        "settings": [_line(line) | {"changed": line.changed} for line in view.lines],
        "lost": [_line(line) for line in view.lost],
        "added": [_line(line) for line in view.added],
        "problems": view.problems,
        "launch": {
            "dataset_id": view.run.dataset_id,
            "split": view.run.split_id,
            "models": [
                {
                    "model": view.other.id,
                    "hyperparameters": dict(view.values),
                    "compute": view.run.snapshot.get("compute", {}).get("name", ""),
                }
            ],
            "seeds": [view.run.seed if view.run.seed is not None else 1],
        },
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "label": line.label,
        "from": {"key": line.key, "value": line.value},
        "to": {"key": line.other_key, "value": line.other_value},
    }
