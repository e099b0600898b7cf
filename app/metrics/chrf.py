"""chrF: agreement of texts in character n-grams."""

from collections import Counter

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.statistics import Sums
from app.statistics.sums import Array

LONGEST = 6
BETA = 2.0


def compute(sample: Sample) -> Value | None:
    """Over all items together (counts are summed before the ratios); no answer is an empty text."""
    if not sample.expected:
        return None
    return from_sums(per_item(sample), sample.groups, (0, 1))


def per_item(sample: Sample) -> Sums:
    """Each item's n-gram counts."""
    pairs = zip(sample.answers, sample.expected, strict=True)
    rows = np.array([counts(answer or "", gold) for answer, gold in pairs], dtype=float)
    rows = rows.reshape(len(sample.answers), 3 * LONGEST)
    return Sums(np.arange(len(rows)), rows, np.arange(len(rows)), chrf)


def counts(answer: str, expected: str) -> list[int]:
    """For n = 1 to 6: how many n-grams the answer has, the expected text has, and both share. Blanks do not count."""
    answer, expected = "".join(answer.split()), "".join(expected.split())
    row = []
    for n in range(1, LONGEST + 1):
        said, wanted = _ngrams(answer, n), _ngrams(expected, n)
        shared = sum(min(times, wanted[gram]) for gram, times in said.items() if gram in wanted)
        row += [max(len(answer) - n + 1, 0), max(len(expected) - n + 1, 0), shared]
    return row


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter([text[i : i + n] for i in range(len(text) - n + 1)])


def chrf(sums: Array) -> Array:
    """chrF of summed counts (rows × 18), 0 to 1; nan where there are no characters at all."""
    said, wanted, shared = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    # Orders longer than either text are left out of the means, as sacreBLEU does.
    used = (said > 0) & (wanted > 0)
    orders = np.maximum(used.sum(axis=1), 1)
    precision = (shared / np.where(used, said, 1)).sum(axis=1) / orders
    recall = (shared / np.where(used, wanted, 1)).sum(axis=1) / orders
    weighted = BETA**2 * precision + recall
    score = (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1)
    return np.where(sums.sum(axis=1) > 0, score, np.nan)


METRIC = Metric(
    name="chrf",
    label="chrF",
    tasks=("text",),
    direction="higher",
    format="percent",
    formula="5·P·R / (4·P + R), P and R the mean precision and recall of character n-grams, n = 1 to 6 (chrF2)",
    source="Popović M (2015), chrF, WMT 15:392-395; β = 2: Popović M (2016), WMT 16. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=10,
)
