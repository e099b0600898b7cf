"""Within tolerance: the share of numbers that the answer rules call right."""

from app.metrics._base import Metric
from app.metrics._right import right_by_item, share_right

METRIC = Metric(
    name="within_tolerance",
    label="Within tolerance",
    tasks=("number",),
    direction="higher",
    format="percent",
    formula="answers within the tolerance of the answer rules / all items; no number counts as wrong",
    source="Relaxed accuracy: Methani N et al. (2020), PlotQA, WACV. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=share_right,
    per_item=right_by_item,
    order=20,
)
