"""The commonest answer of the training part for every item: what a model scores that reads nothing."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from ._base import (
    CLASSIFICATION,
    NUMBER,
    Answer,
    Baseline,
    Constant,
    Example,
    Setting,
    check_not_empty,
    class_answer,
    number_answer,
    number_examples,
)


def _fit(train: Sequence[Example], setting: Setting) -> Constant:
    check_not_empty(train)
    if setting.task == NUMBER:
        return Constant(number_answer(median(number_examples(train)[1])))
    counts = Counter(example.answer for example in train)
    if setting.task == CLASSIFICATION:
        return Constant(class_answer(setting.labels, counts))
    # most_common() keeps the order of first appearance among equals.
    return Constant(Answer(counts.most_common(1)[0][0]))


def _estimate(train_items: int, mean_characters: float, cores: int) -> float:
    return 0.5 + train_items * 1e-6


BASELINE = Baseline(
    name="majority",
    label="Majority class",
    description="always the commonest training answer; of numbers the median",
    tasks=("classification", "number", "list", "json", "text"),
    seed_matters=False,
    hyperparameters=(),
    estimate=_estimate,
    fit=_fit,
)
