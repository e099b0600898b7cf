"""What every metric promises, whichever it is."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest

from app.metrics import Metric, Sample, Value, for_task
from tests.metrics.samples import classification, emptied, reordered, samples

BY_TASK = {sample.task: sample for sample in samples()}
CASES = [(metric, BY_TASK[task]) for metric in for_task(None) for task in metric.tasks]
each_case = pytest.mark.parametrize(
    ("metric", "sample"), CASES, ids=[f"{metric.name}-{sample.task}" for metric, sample in CASES]
)


def grouped(sample: Sample) -> Sample:
    """Forty groups of items side by side."""
    n = len(sample.expected)
    return replace(sample, groups=[f"group {i * 40 // n}" for i in range(n)])


def same(one: Value | None, other: Value | None) -> bool:
    """Equal up to the rounding of sums."""
    if one is None or other is None:
        return one is other
    pairs = zip((one.value, one.low, one.high), (other.value, other.low, other.high), strict=True)
    numbers = all(
        a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9)) for a, b in pairs
    )
    return numbers and one.n == other.n


@pytest.mark.parametrize("metric", for_task(None), ids=lambda metric: metric.name)
def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.label
    assert metric.formula
    assert "\n" not in metric.formula
    assert any(year in metric.source for year in map(str, range(1900, 2030))) or "RFC" in metric.source
    assert set(metric.tasks) <= set(BY_TASK)
    assert metric.tasks
    assert metric.direction in ("higher", "lower", "none")
    assert metric.format in ("percent", "number", "table")


@each_case
def test_the_value_lies_in_its_interval_and_its_range(metric: Metric, sample: Sample) -> None:
    for one in (sample, grouped(sample)):
        value = metric.compute(one)
        assert value is not None
        assert value.n == len(sample.expected)
        json.dumps(value.detail, allow_nan=False)
        if metric.format == "table":
            assert value.value is None
            assert value.detail
            continue
        assert value.low <= value.value <= value.high
        assert value.low < value.high
        if metric.format == "percent":
            assert value.low >= 0
            assert value.high <= 1


@each_case
def test_what_items_add_makes_the_value(metric: Metric, sample: Sample) -> None:
    if metric.format == "table":
        assert metric.per_item is None
        return
    side, n = metric.per_item(sample), len(sample.expected)
    assert math.isclose(side.value, metric.compute(sample).value, rel_tol=1e-9)
    half = [place for place in range(n) if place % 2]
    some = metric.compute(sample.only(half))
    assert math.isclose(side.only(np.array(half)).value, some.value, rel_tol=1e-9)


@each_case
def test_the_order_of_items_has_no_part_in_it(metric: Metric, sample: Sample) -> None:
    for one in (sample, grouped(sample)):
        assert same(metric.compute(one), metric.compute(reordered(one, seed=3)))


@each_case
def test_the_same_sample_gives_the_same_interval(metric: Metric, sample: Sample) -> None:
    assert metric.compute(sample) == metric.compute(sample)


@each_case
def test_no_items_is_no_value(metric: Metric, sample: Sample) -> None:
    assert metric.compute(emptied(sample)) is None


@each_case
def test_a_model_that_never_answers_is_defined(metric: Metric, sample: Sample) -> None:
    n = len(sample.expected)
    silent = replace(
        sample,
        answers=[None] * n,
        correct=[False] * n,
        probabilities=[None] * n,
        raw=[None] * n,
        marks=[0.0] * n,
    )
    value = metric.compute(silent)
    if value is None:
        assert sample.task == "classification"
        return
    assert value.value in (None, 0.0)
    if sample.task == "number" and metric.name not in ("within_tolerance", "judge_score"):
        assert value.n == 0
        assert value.detail["no_number"] == n
    json.dumps(value.detail, allow_nan=False)


@each_case
def test_one_item_is_defined(metric: Metric, sample: Sample) -> None:
    columns = ("expected", "answers", "correct", "probabilities", "groups", "raw", "marks")
    value = metric.compute(replace(sample, **{name: getattr(sample, name)[:1] for name in columns}))
    assert value is None or value.n == 1


def test_probability_metrics_need_probabilities() -> None:
    sample = classification()
    without = replace(sample, probabilities=[None] * len(sample.expected))
    absent = {metric.name for metric in for_task("classification") if metric.compute(without) is None}
    assert absent == {"top2_accuracy", "log_loss", "brier", "ece", "roc_auc", "entropy", "perplexity"}


def test_every_metric_is_quick_on_a_usual_test_set() -> None:
    started = time.perf_counter()
    for metric in for_task("classification"):
        metric.compute(classification(501))
    # Ten metrics; a busy machine has room.
    assert time.perf_counter() - started < 4


def test_metrics_come_in_the_order_of_display() -> None:
    for task in BY_TASK:
        orders = [metric.order for metric in for_task(task)]
        assert orders == sorted(orders)
    assert [metric.name for metric in for_task("classification")][:2] == ["accuracy", "macro_f1"]
    assert for_task("no such task") == []
