"""Metrics of classes and class probabilities against scikit-learn and counts by hand."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from app.metrics import (
    accuracy,
    brier,
    confusion,
    ece,
    entropy,
    log_loss,
    macro_f1,
    per_class,
    perplexity,
    roc_auc,
    top2_accuracy,
)
from tests.metrics.samples import LABELS, classification, make

ANSWERS = [*LABELS, "?", None]
items = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(ANSWERS)), min_size=1, max_size=40)


def from_pairs(pairs):
    """A sample of (expected, answer)."""
    return make("classification", [one for one, _ in pairs], [two for _, two in pairs], labels=LABELS)


def arrays(sample):
    """Expected labels and the matrix of probabilities."""
    p = np.array([[row[label] for label in sample.labels] for row in sample.probabilities])
    return np.array(sample.expected), p


@given(items)
@settings(max_examples=60, deadline=None)
def test_macro_f1_and_accuracy_agree_with_scikit_learn(pairs) -> None:
    sample = from_pairs(pairs)
    gold, said = sample.expected, [str(answer) for answer in sample.answers]
    occurring = sorted({label for label in LABELS if label in gold or label in said})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = sk.f1_score(gold, said, labels=occurring, average="macro", zero_division=0)
    assert macro_f1.METRIC.compute(sample).value == pytest.approx(wanted)
    assert accuracy.METRIC.compute(sample).value == pytest.approx(sk.accuracy_score(gold, said))


@given(items)
@settings(max_examples=60, deadline=None)
def test_classes_and_confusion_agree_with_scikit_learn(pairs) -> None:
    sample = from_pairs(pairs)
    gold, said = sample.expected, [str(answer) for answer in sample.answers]
    table = per_class.METRIC.compute(sample).detail["classes"]
    found = confusion.METRIC.compute(sample).detail
    names = list(table)
    assert found["expected"] == names
    assert names == [label for label in LABELS if label in gold or label in said]
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        gold, said, labels=names, zero_division=np.nan
    )
    for i, name in enumerate(names):
        row = table[name]
        for ours, theirs in ((row["precision"], precision[i]), (row["recall"], recall[i])):
            assert ours is None if math.isnan(theirs) else ours == pytest.approx(theirs)
        assert row["f1"] == pytest.approx(f1[i])
        assert row["support"] == support[i]
    counts = np.array(found["counts"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        square = sk.confusion_matrix(gold, said, labels=names)
    assert (counts[:, : len(names)] == square).all()
    strange = [answer not in LABELS for answer in sample.answers]
    assert found["answered"] == names + (["no label"] if any(strange) else [])
    assert counts.sum() == len(pairs)


def test_macro_f1_by_hand() -> None:
    # a: right 2, expected 3, answered 2: F1 4/5. b: right 1, expected 1, answered 1: 1. One answer is no class.
    sample = make("classification", ["a", "a", "a", "b"], ["a", "a", None, "b"], labels=("a", "b", "c"))
    assert macro_f1.METRIC.compute(sample).value == pytest.approx(0.9)
    row = per_class.METRIC.compute(sample).detail["classes"]["a"]
    assert row["precision"] == 1
    assert row["recall"] == pytest.approx(2 / 3)
    # Wilson for 2 of 3, by statsmodels 0.14.
    assert (row["recall_low"], row["recall_high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert confusion.METRIC.compute(sample).detail == {
        "expected": ["a", "b"],
        "answered": ["a", "b", "no label"],
        "counts": [[2, 0, 1], [0, 1, 0]],
    }


def test_a_class_may_be_called_no_label() -> None:
    sample = make("classification", ["no label", "x"], ["?", "x"], labels=("no label", "x"))
    answered = confusion.METRIC.compute(sample).detail["answered"]
    assert len(set(answered)) == len(answered) == 3


def test_an_expected_answer_that_is_no_label_is_a_class_of_its_own() -> None:
    sample = make("classification", ["a", "odd"], ["a", "a"], labels=("a", "b"))
    assert confusion.METRIC.compute(sample).detail["expected"] == ["a", "odd"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labels", [LABELS, ("no", "yes")])
def test_probability_metrics_agree_with_scikit_learn(seed: int, labels: tuple[str, ...]) -> None:
    sample = classification(120, seed, labels)
    gold, p = arrays(sample)
    order = np.argsort(labels)
    by_name, names = p[:, order], np.array(labels)[order]
    assert log_loss.METRIC.compute(sample).value == pytest.approx(sk.log_loss(gold, by_name, labels=names))
    hits = (gold[:, None] == names).astype(float)
    assert brier.METRIC.compute(sample).value == pytest.approx(((by_name - hits) ** 2).sum(axis=1).mean())
    scores = by_name if len(labels) > 2 else by_name[:, 1]
    auc = sk.roc_auc_score(gold, scores, multi_class="ovr", average="macro", labels=names)
    assert roc_auc.METRIC.compute(sample).value == pytest.approx(auc)
    if len(labels) > 2:
        top = sk.top_k_accuracy_score(gold, by_name, k=2, labels=names)
        assert top2_accuracy.METRIC.compute(sample).value == pytest.approx(top)


def test_roc_auc_counts_ties_half() -> None:
    random = np.random.default_rng(4)
    gold, score = random.integers(0, 2, 80), random.integers(0, 5, 80) / 4
    rows = [{"no": 1 - s, "yes": s} for s in score]
    names = [("no", "yes")[i] for i in gold]
    sample = make("classification", names, names, labels=("no", "yes"), probabilities=rows)
    assert roc_auc.METRIC.compute(sample).value == pytest.approx(sk.roc_auc_score(gold, score))


def test_roc_auc_leaves_out_classes_that_nobody_expects() -> None:
    rows = [{"a": 0.7, "b": 0.2, "c": 0.1}, {"a": 0.4, "b": 0.5, "c": 0.1}, {"a": 0.6, "b": 0.3, "c": 0.1}]
    sample = make(
        "classification", ["a", "b", "a"], ["a", "b", "a"], labels=("a", "b", "c"), probabilities=rows
    )
    assert roc_auc.METRIC.compute(sample).value == 1
    alone = replace(sample, expected=["a", "a", "a"])
    assert roc_auc.METRIC.compute(alone) is None


def test_calibration_by_hand() -> None:
    # Confidences 0.9 and 0.9 (one right) in one bin, 0.6 (right) in another: (2/3)·0.4 + (1/3)·0.4.
    rows = [{"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.1}, {"a": 0.4, "b": 0.6}]
    sample = make("classification", ["a", "b", "b"], ["a", "a", "b"], labels=("a", "b"), probabilities=rows)
    found = ece.METRIC.compute(sample)
    assert found.value == pytest.approx(0.4)
    assert [(one["n"], one["accuracy"]) for one in found.detail["bins"]] == [(1, 1.0), (2, 0.5)]


def test_a_calibrated_model_has_a_small_calibration_error() -> None:
    random = np.random.default_rng(9)
    p = random.uniform(0.5, 1, 20_000)
    right = random.random(20_000) < p
    rows = [{"a": float(x), "b": float(1 - x)} for x in p]
    sample = make(
        "classification",
        ["a" if hit else "b" for hit in right],
        ["a"] * 20_000,
        labels=("a", "b"),
        probabilities=rows,
    )
    assert ece.METRIC.compute(sample).value < 0.02


def test_entropy_and_perplexity_by_hand() -> None:
    rows = [{"a": 0.5, "b": 0.5, "c": 0}, {"a": 1, "b": 0, "c": 0}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}]
    sample = make("classification", ["a"] * 3, ["a"] * 3, labels=("a", "b", "c"), probabilities=rows)
    assert entropy.METRIC.compute(sample).value == pytest.approx((math.log(2) + math.log(3)) / 3)
    assert perplexity.METRIC.compute(sample).value == pytest.approx((2 + 1 + 3) / 3)


def test_brier_by_hand() -> None:
    # Brier (1950): 0 for certainty that comes true, 2 for certainty that does not.
    rows = [{"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 0.0}]
    sample = make("classification", ["a", "b"], ["a", "a"], labels=("a", "b"), probabilities=rows)
    assert brier.METRIC.compute(sample).value == pytest.approx(1.0)


def test_items_without_probabilities_are_left_out_and_counted() -> None:
    whole = classification(100)
    rows = [None if i % 4 == 0 else row for i, row in enumerate(whole.probabilities)]
    kept = [i for i in range(100) if i % 4]
    columns = ("expected", "answers", "correct", "probabilities", "groups", "raw")
    part = replace(whole, **{name: [getattr(whole, name)[i] for i in kept] for name in columns})
    for metric in (log_loss, brier, ece, roc_auc, top2_accuracy, entropy, perplexity):
        found = metric.METRIC.compute(replace(whole, probabilities=rows))
        assert found == metric.METRIC.compute(part)
        assert found.n == 75


def test_probabilities_are_scaled_and_unusable_ones_left_out() -> None:
    rows = [{"a": 0.4, "b": 0.4}, {"a": 0, "b": 0}, {"a": float("nan"), "b": 1.0}, {"a": -0.5, "b": 1.5}, {}]
    sample = make("classification", ["a"] * 5, ["a"] * 5, labels=("a", "b"), probabilities=rows)
    found = log_loss.METRIC.compute(sample)
    assert found.n == 1
    assert found.value == pytest.approx(math.log(2))


def test_no_probability_for_the_expected_class_is_a_large_but_finite_loss() -> None:
    rows = [{"a": 0.0, "b": 1.0}] * 2
    sample = make("classification", ["a", "odd"], ["b", "b"], labels=("a", "b"), probabilities=rows)
    assert log_loss.METRIC.compute(sample).value == pytest.approx(-math.log(np.finfo(float).eps))
    assert brier.METRIC.compute(sample).value == pytest.approx(2)


def test_accuracy_counts_silence_as_wrong_and_says_how_many() -> None:
    sample = make("classification", ["a"] * 4, ["a", None, "b", None], labels=("a", "b"))
    found = accuracy.METRIC.compute(sample)
    assert (found.value, found.n, found.detail) == (0.25, 4, {"right": 1, "unanswered": 2})
