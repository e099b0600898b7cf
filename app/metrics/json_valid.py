"""JSON validity: the share of answers that are JSON at all."""

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.metrics._json import decode


def compute(sample: Sample) -> Value | None:
    """Of the answers as read, so that a Markdown fence does no harm; no answer is not valid."""
    if not sample.expected:
        return None
    hits = [answer is not None and decode(answer)[0] for answer in sample.answers]
    return rate(hits, sample.groups, sum(answer is None for answer in sample.answers))


METRIC = Metric(
    name="json_valid",
    label="Valid JSON",
    tasks=("json",),
    direction="higher",
    format="percent",
    formula="answers that are JSON / all items",
    source="JSON: RFC 8259. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    order=11,
)
