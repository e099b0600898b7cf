"""Expected calibration error: how far the top probability is from being right that often."""

from dataclasses import replace

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import probabilities
from app.statistics import Sums
from app.statistics.sums import Array

BINS = 15


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities. detail["bins"]: of each filled bin its ends, n, mean confidence, accuracy."""
    found = per_item(sample)
    if found is None:
        return None
    value = from_sums(found, sample.groups, (0, 1))
    return replace(value, detail={**value.detail, "bins": _bins(found.cells.sum(axis=0))})


def per_item(sample: Sample) -> Sums | None:
    """Confidence, right and count of each item in its bin; None without probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    top = found.p.argmax(axis=1)
    confidence, right = found.p.max(axis=1), (top == found.gold).astype(float)
    # Rounded, so that the last digit of a probability does not decide on its bin.
    place = np.clip(np.ceil(np.round(confidence * BINS, 9)).astype(int) - 1, 0, BINS - 1)
    inside = (place[:, None] == np.arange(BINS)).astype(float)
    rows = np.concatenate([inside * confidence[:, None], inside * right[:, None], inside], axis=1)
    return Sums(found.items, rows, np.arange(len(rows)), _ece)


def _ece(sums: Array) -> Array:
    gaps = np.abs(sums[:, BINS : 2 * BINS] - sums[:, :BINS]).sum(axis=1)
    return np.asarray(gaps / sums[:, 2 * BINS :].sum(axis=1))


def _bins(sums: Array) -> list[dict[str, float]]:
    return [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "n": int(sums[2 * BINS + i]),
            "confidence": float(sums[i] / sums[2 * BINS + i]),
            "accuracy": float(sums[BINS + i] / sums[2 * BINS + i]),
        }
        for i in range(BINS)
        if sums[2 * BINS + i]
    ]


METRIC = Metric(
    name="ece",
    label="Calibration error",
    tasks=("classification",),
    direction="lower",
    format="percent",
    formula="Σ over 15 equal bins of the top p: (items in bin / all) · |share right − mean top p|",
    source="Guo C et al. (2017), On calibration of modern neural networks, ICML. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=15,
)
