"""The lab leaderboard as a table of rows, one per task and model: for its CSV and the API."""

from collections.abc import Iterator
from typing import Any

from app.cells import guarded
from app.comparisons.lab_leaderboard import LabLeaderboard

COLUMNS = (
    *("dataset", "split", "task", "metric", "model", "group", "parameters", "rank", "of_models"),
    *("runs", "failed_runs", "items", "typical", "typical_low", "typical_high", "typical_run"),
    *("best", "best_low", "best_high", "best_run", "best_baseline", "over_best_baseline"),
    *("seconds", "cost_usd_all_runs"),
)


def lab_rows(view: LabLeaderboard) -> Iterator[dict[str, Any]]:
    """One row per task and model, by the names of COLUMNS; rates lie in 0..1. For the CSV and the API."""
    models = {model.model: model for model in view.models}
    for task in view.tasks:
        for entry in task.entries:
            cell, model = entry.cell, models[entry.model]
            typical, best = (cell.typical, cell.best) if cell else (None, None)
            values = (
                *(task.place.dataset, task.place.split, task.place.task, task.metric.name),
                *(entry.model, model.group, model.parameters, entry.rank, entry.of or None),
                *(cell.runs if cell else 0, entry.failed, cell.items if cell else None),
                *((typical.value, typical.low, typical.high, typical.run_id) if typical else (None,) * 4),
                *((best.value, best.low, best.high, best.run_id) if best else (None,) * 4),
                *(task.baseline.model if task.baseline else None, entry.over),
                *(entry.shown.seconds if entry.shown else None, cell.microdollars / 1e6 if cell else None),
            )
            yield dict(zip(COLUMNS, values, strict=True))


def csv_line(row: dict[str, Any]) -> list[Any]:
    """A row of the CSV, safe in spreadsheets."""
    return [
        guarded(value) if isinstance(value, str) else "" if value is None else value for value in row.values()
    ]
