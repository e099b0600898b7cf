"""What the API says of an experiment and of a plan."""

from collections.abc import Sequence
from typing import Any

from app.evaluations.views import scores_json
from app.experiments.plan import Plan
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
        "runs": [
            {
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
            for row in view.everything
        ],
        "design": view.design,
        "augment": view.augment,
        "choose_on": view.lock.choose_on,
        "locked": view.lock.locked,
        "unlocked": {
            "at": view.lock.unlocked_at,
            "by": view.lock.unlocked_by,
            "runs": view.lock.unlocked_runs,
        }
        if view.lock.unlocked_at
        else None,
        "looks_before_this_launch": view.looks.before_this,
        "looks_before_the_last_launch": view.looks.before_last,
        "folds": [
            {
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
            for line in view.folds
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
            {
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
                "rendered": list(rendered[number]) if rendered else [],
            }
            for number, row in enumerate(plan.rows)
        ],
    }
