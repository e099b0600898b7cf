"""Set match: the share of lists with the expected elements, in any order."""

from app.metrics._base import Metric
from app.metrics._right import right_by_item, share_right

METRIC = Metric(
    name="set_match",
    label="Set match",
    tasks=("list",),
    direction="higher",
    format="percent",
    formula="answers with exactly the expected elements, in any order / all items",
    source="Subset accuracy: Tsoumakas G, Katakis I (2007), IJDWM 3(3):1-13. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=share_right,
    per_item=right_by_item,
    order=10,
)
