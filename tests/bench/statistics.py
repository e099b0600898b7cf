"""Bootstrap of 10,000 resamples for 5 models × 100,000 items: a metric of counts, and real-valued ones."""

import time
from collections.abc import Iterator

import numpy as np

from app.metrics import Sample, accuracy, log_loss, macro_f1
from app.statistics import grouping, mean_of, over_seeds, paired_bootstrap, paired_bootstraps
from app.statistics.sums import Sums
from tests.bench import Figure, at_most

ITEMS, MODELS = 100_000, 5
LABELS = ("VL", "L", "U", "M", "H")


def figures() -> Iterator[Figure]:
    """Each model's score with its interval, and the differences of four models to the first, with theirs."""
    random = np.random.default_rng(1)
    drawn, items = grouping([None] * ITEMS), np.arange(ITEMS)
    samples = _samples(random)
    for metric in (accuracy, macro_f1):
        sides = [metric.METRIC.per_item(sample) for sample in samples]
        started = time.perf_counter()
        for side in sides:
            over_seeds([side], drawn)
        for side in sides[1:]:
            paired_bootstrap([sides[0]], [side], drawn)
        yield at_most(f"bootstrap_{metric.METRIC.name}", time.perf_counter() - started, "s", 1)
    losses = [mean_of(-np.log(random.random(ITEMS)), items) for _ in range(MODELS)]
    started = time.perf_counter()
    _real_valued(losses, drawn)
    yield at_most(f"bootstrap_{log_loss.METRIC.name}", time.perf_counter() - started, "s", 20)


def _real_valued(losses: list[Sums], drawn) -> None:
    # A model against a constant of 0 is the model's own score: all intervals from the same resamples.
    nothing = mean_of(np.zeros(ITEMS), np.arange(ITEMS))
    own = [([side], [nothing]) for side in losses]
    paired_bootstraps([*own, *(([losses[0]], [side]) for side in losses[1:])], drawn)


def _samples(random: np.random.Generator) -> list[Sample]:
    gold = random.integers(0, len(LABELS), ITEMS)
    samples = []
    for model in range(MODELS):
        said = np.where(random.random(ITEMS) < 0.6 + model / 20, gold, random.integers(0, len(LABELS), ITEMS))
        none: list[None] = [None] * ITEMS
        answers = [LABELS[i] for i in said]
        right = (said == gold).tolist()
        expected = [LABELS[i] for i in gold]
        samples.append(Sample("classification", LABELS, expected, answers, right, none, none, answers))
    return samples
