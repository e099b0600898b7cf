"""Precision, recall and F1 of each class."""

from typing import Any

from app.metrics._base import Metric, Sample, Value
from app.metrics._classes import classes, matrix
from app.statistics import wilson


def compute(sample: Sample) -> Value | None:
    """A table: detail {"classes": {label: {precision, recall, f1, support, and the ends of their intervals}}}."""
    if not sample.expected:
        return None
    found = classes(sample)
    counts = matrix(found)
    rows = {}
    for i, name in enumerate(found.names):
        rows[name] = _class(int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum()))
    return Value(None, n=len(sample.expected), detail={"classes": rows})


def _class(right: int, expected: int, answered: int) -> dict[str, Any]:
    f1 = 2 * right / (expected + answered)
    return {
        **_rate("precision", right, answered),
        **_rate("recall", right, expected),
        "f1": f1,
        "support": expected,
    }


def _rate(name: str, right: int, n: int) -> dict[str, float | None]:
    if not n:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson(right, n)
    return {name: right / n, f"{name}_low": low, f"{name}_high": high}


METRIC = Metric(
    name="per_class",
    label="By class",
    tasks=("classification",),
    direction="none",
    format="table",
    formula="precision = right / answered, recall = right / expected, F1 = 2·right / (expected + answered)",
    source="van Rijsbergen CJ (1979), Information Retrieval, ch. 7. Intervals: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    order=90,
)
