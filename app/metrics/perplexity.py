"""Perplexity of the class probabilities: how undecided the model is, right or wrong."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import entropies, probabilities
from app.statistics import Sums, mean_of


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities."""
    found = per_item(sample)
    return None if found is None else from_sums(found, sample.groups, (1, np.inf))


def per_item(sample: Sample) -> Sums | None:
    """Each item's perplexity; None without probabilities."""
    found = probabilities(sample)
    return None if found is None else mean_of(np.exp(entropies(found.p)), found.items)


METRIC = Metric(
    name="perplexity",
    label="Perplexity",
    tasks=("classification",),
    direction="none",
    format="number",
    formula="mean over items of exp(H), H = −Σ p·ln p over classes: how many classes the model hesitates between",
    source="Jelinek F et al. (1977), Perplexity, JASA 62 (suppl.) S63. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=18,
)
