"""One plain sentence on two runs over the same items. It never says more than the test allows."""

from app.format import plural
from app.statistics import FEWEST_GROUPS, PairedRates, mcnemar_exact, paired_difference

SIGNIFICANT = 0.05
# With fewer items that tell two runs apart the exact test cannot reach 0.05: 2 · (1/2)⁵ = 0.0625.
FEWEST_APART = 6


def plain_sentence(
    a: str,
    b: str,
    both: int,
    only_a: int,
    only_b: int,
    neither: int,
    found: PairedRates | None = None,
    few_groups: int = 0,
) -> str:
    """What the items say about `a` against `b`, the names of two runs. `found` where groups may count whole; without
    it items are independent. `few_groups`: how many groups are too few for that.

    "Ahead" needs p < 0.05 by the exact test and an interval without zero.
    """
    total = both + only_a + only_b + neither
    if not total:
        return "These two runs share no items."
    if found is None:
        difference, low, high = paired_difference(both, only_a, only_b, neither)
        p = mcnemar_exact(only_a, only_b)
    else:
        difference, low, high, p = found.difference, found.low, found.high, found.p
    if difference < 0:
        a, b, only_a, only_b = b, a, only_b, only_a
        difference, low, high = -difference, -high, -low
    said = _said(a, b, both, only_a, only_b, total, (difference, low, high, p), found)
    return said + _about_groups(found, few_groups)


def _said(
    a: str,
    b: str,
    both: int,
    only_a: int,
    only_b: int,
    total: int,
    numbers: tuple[float, float, float, float],
    found: PairedRates | None,
) -> str:
    difference, low, high, p = numbers
    interval = f"95 % interval {points(low)} to {points(high)}"
    if only_a + only_b == 0:
        same = f"{a} and {b} are right on the same {both:,} of {plural(total, 'item')}"
        return f"{same}: no difference was seen ({interval} points)."
    counts = f"{plural(only_a, 'item')} only {a} got right, {only_b:,} only {b}; {p_text(p)}."
    if p < SIGNIFICANT and low > 0:
        return f"{a} is ahead by {points(difference)} points ({interval}); {counts}"
    gap = f"difference of {points(difference)} points ({interval}) between {a} and {b}"
    apart, units = only_a + only_b, plural(total, "item")
    if found and found.whole_groups:
        apart, units = found.apart, plural(found.units, "group")
    if apart < FEWEST_APART:
        return f"The {gap} cannot be judged: only {apart} of {units} set them apart. {counts}"
    return f"The {gap} is within noise: {counts}"


def _about_groups(found: PairedRates | None, few_groups: int) -> str:
    if found and found.whole_groups:
        return f" Items of one group count together: interval and p are over {found.units:,} groups."
    if few_groups:
        return (
            f" The items come in {plural(few_groups, 'group')}, fewer than the {FEWEST_GROUPS} that could count whole: "
            "interval and p take them as independent and may be too sure."
        )
    return ""


def points(rate: float) -> str:
    """A difference of rates in percentage points: -0.0234 -> "−2.3"."""
    text = f"{100 * rate:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def p_text(p: float) -> str:
    """0.0004 -> "p < 0.001", 0.0031 -> "p = 0.003", 0.4773 -> "p = 0.48"; never rounded across 0.05."""
    if p < 0.001:
        return "p < 0.001"
    digits = 2 if p >= 0.1 else 3
    text = f"{p:.{digits}f}"
    return f"p = {p:.4f}" if text == "0.050" else f"p = {'1' if text == '1.00' else text}"
