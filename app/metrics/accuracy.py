"""Accuracy: the share of right answers."""

from app.metrics._base import Metric
from app.metrics._right import right_by_item, share_right

METRIC = Metric(
    name="accuracy",
    label="Accuracy",
    tasks=("classification",),
    direction="higher",
    format="percent",
    formula="right answers / all items; no answer counts as wrong",
    source="Interval: Wilson EB (1927), Probable inference, JASA 22:209-212.",
    compute=share_right,
    per_item=right_by_item,
    order=10,
)
