"""Entropy of the class probabilities: how undecided the model is, right or wrong."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import entropies, probabilities
from app.statistics import Sums, mean_of
from app.statistics.sums import Array

BINS = 20


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities. detail["bins"]: of each of BINS equal bins from 0 to ln(classes) its ends, n,
    and how many of those items are right."""
    found, sums = probabilities(sample), per_item(sample)
    if found is None or sums is None:
        return None
    value = from_sums(sums, sample.groups, (0, np.inf))
    right = np.asarray(sample.correct, bool)[found.items]
    return replace(value, detail={**value.detail, "bins": _bins(entropies(found.p), right, found.p.shape[1])})


def _bins(values: Array, right: NDArray[np.bool_], classes: int) -> list[dict[str, float]]:
    edges = np.linspace(0.0, np.log(max(classes, 2)), BINS + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    counts, hits = np.bincount(place, minlength=BINS), np.bincount(place[right], minlength=BINS)
    return [
        {"low": float(edges[i]), "high": float(edges[i + 1]), "n": int(counts[i]), "right": int(hits[i])}
        for i in range(BINS)
    ]


def per_item(sample: Sample) -> Sums | None:
    """Each item's entropy; None without probabilities."""
    found = probabilities(sample)
    return None if found is None else mean_of(entropies(found.p), found.items)


METRIC = Metric(
    name="entropy",
    label="Entropy",
    tasks=("classification",),
    direction="none",
    format="number",
    formula="mean over items of H = −Σ p·ln p over classes, in nats",
    source="Shannon CE (1948), A mathematical theory of communication, Bell System Technical Journal 27. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=17,
)
