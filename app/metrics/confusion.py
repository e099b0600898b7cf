"""The confusion matrix: how often each class was answered as each other one."""

from app.metrics._base import Metric, Sample, Value
from app.metrics._classes import classes, matrix

NO_LABEL = "no label"


def compute(sample: Sample) -> Value | None:
    """A table: detail {"expected": rows, "answered": columns, "counts"}; where some answer is no class, the
    last column counts those and items without an answer."""
    if not sample.expected:
        return None
    found = classes(sample)
    counts, answered = matrix(found), list(found.names)
    if counts[:, -1].any():
        answered.append(NO_LABEL if NO_LABEL not in answered else f"{NO_LABEL} of these")
    else:
        counts = counts[:, :-1]
    detail = {"expected": found.names, "answered": answered, "counts": counts.tolist()}
    return Value(None, n=len(sample.expected), detail=detail)


METRIC = Metric(
    name="confusion",
    label="Confusion matrix",
    tasks=("classification",),
    direction="none",
    format="table",
    formula="items by expected class (rows) and answered class (columns)",
    source="Kohavi R, Provost F (1998), Glossary of terms, Machine Learning 30:271-274.",
    compute=compute,
    order=91,
)
