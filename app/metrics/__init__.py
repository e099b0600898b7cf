"""Metrics: one file per metric, each a pure function from a sample to a value with its 95 % interval."""

from app.metrics._base import Metric, Sample, Value
from app.registry import load_kinds

__all__ = ["Metric", "Sample", "Value", "for_task"]


def for_task(task: str | None) -> list[Metric]:
    """The metrics of a task, in the order in which they are shown; all metrics for None."""
    metrics: list[Metric] = sorted(
        load_kinds("app.metrics", "METRIC").values(), key=lambda one: (one.order, one.name)
    )
    return [metric for metric in metrics if task is None or task in metric.tasks]
