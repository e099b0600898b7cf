"""Perplexity of the class probabilities: how undecided the model is, right or wrong."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._probabilities import entropies, probabilities


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities."""
    found = probabilities(sample)
    return None if found is None else mean(np.exp(entropies(found.p)), found.groups, (1, np.inf))


METRIC = Metric(
    name="perplexity",
    label="Perplexity",
    tasks=("classification",),
    direction="none",
    format="number",
    formula="mean over items of exp(H), H = −Σ p·ln p over classes: how many classes the model hesitates between",
    source="Jelinek F et al. (1977), Perplexity, JASA 62 (suppl.) S63. Interval: BCa bootstrap.",
    compute=compute,
    order=18,
)
