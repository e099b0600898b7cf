"""JSON validity: the share of answers that are JSON at all."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.metrics._json import decode
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """Of the answers as read, so that a Markdown fence does no harm; no answer is not valid."""
    if not sample.expected:
        return None
    return rate(_hits(sample), sample.groups, sum(answer is None for answer in sample.answers))


def _hits(sample: Sample) -> list[bool]:
    return [answer is not None and decode(answer)[0] for answer in sample.answers]


def per_item(sample: Sample) -> Sums:
    """Valid or not."""
    return rate_of(np.array(_hits(sample), dtype=bool), np.arange(len(sample.answers)))


METRIC = Metric(
    name="json_valid",
    label="Valid JSON",
    tasks=("json",),
    direction="higher",
    format="percent",
    formula="answers that are JSON / all items",
    source="JSON: RFC 8259. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=11,
)
