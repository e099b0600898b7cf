"""Mean mark of a judge model."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.statistics import Sums, mean_of


def compute(sample: Sample) -> Value | None:
    """Over the items that the judge marked; None where no answer was judged."""
    side = per_item(sample)
    return None if side is None else from_sums(side, sample.groups, (0, 1))


def per_item(sample: Sample) -> Sums | None:
    """Each judged item's mark; None without any."""
    marked = [(place, mark) for place, mark in enumerate(sample.marks) if mark is not None]
    if not marked:
        return None
    places, marks = zip(*marked, strict=True)
    return mean_of(np.array(marks, dtype=float), np.array(places, dtype=np.int64))


METRIC = Metric(
    name="judge_score",
    label="Judge score",
    tasks=("classification", "number", "list", "json", "text"),
    direction="higher",
    format="percent",
    formula="mean mark of the judge model (points of 10, or right 1 and wrong 0) over the items it marked",
    source="Zheng L et al. (2023), Judging LLM-as-a-judge, NeurIPS, arXiv:2306.05685. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=60,
)
