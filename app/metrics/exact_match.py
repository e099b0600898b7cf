"""Exact match: the share of answers that equal the expected one, character by character."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """Compares the answers as read; no answer counts as wrong."""
    if not sample.expected:
        return None
    return rate(_hits(sample), sample.groups, sum(answer is None for answer in sample.answers))


def _hits(sample: Sample) -> list[bool]:
    return [answer == gold for answer, gold in zip(sample.answers, sample.expected, strict=True)]


def per_item(sample: Sample) -> Sums:
    """Equal or not."""
    return rate_of(np.array(_hits(sample), dtype=bool), np.arange(len(sample.answers)))


METRIC = Metric(
    name="exact_match",
    label="Exact match",
    tasks=("text", "list", "json"),
    direction="higher",
    format="percent",
    formula="answers that equal the expected one, as both are read under the answer rules / all items",
    source="Rajpurkar P et al. (2016), SQuAD, EMNLP. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=20,
)
