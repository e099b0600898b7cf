"""The lab leaderboard as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.comparisons.lab_leaderboard import LabFilter, LabTask, lab_leaderboard
from app.comparisons.lab_rows import lab_rows
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/leaderboard")
def get_leaderboard(
    session: Database,
    actor: Acting,
    task: str = "",
    group: str = "",
    size: str = "",
    price: str = "",
    by: str = "typical",
) -> dict[str, Any]:
    """All models on all tasks: ranks by the typical (or best) run, and how far each is ahead of the best baseline."""
    chosen = LabFilter(task, group, size, price, by)
    view = lab_leaderboard(session, actor, chosen)
    return {
        "filter": asdict(chosen),
        "tasks": [_task(task) for task in view.tasks],
        "models": [
            {
                "model": model.model,
                "label": model.label,
                "group": model.group,
                "parameters": model.parameters,
                "average_rank": model.average_rank,
                "ranked_on": model.ranked_on,
                "wins": model.wins,
                "cost_microdollars": model.microdollars,
                "seconds": model.seconds,
            }
            for model in view.models
        ],
        "cells": list(lab_rows(view)),
    }


def _task(task: LabTask) -> dict[str, Any]:
    return {
        "dataset_id": task.place.dataset_id,
        "dataset": task.place.dataset,
        "split_id": task.place.split_id,
        "split": task.place.split,
        "task": task.place.task,
        "metric": task.metric.name,
        "direction": task.metric.direction,
        "items": task.items,
        "models": len(task.entries),
        "winner": task.winner.model if task.winner else None,
        "best_baseline": task.baseline.model if task.baseline else None,
    }
