"""Dealing folds and nesting subsets: properties over random data, and the same on every machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.folds import NEVER, deal, deal_groups, nested, parts_of_fold, pooled_parts
from app.datasets.items import TEST, TRAIN, UNUSED, VALIDATION


@given(st.integers(10, 300), st.integers(2, 10), st.integers(0, 1000), st.integers(1, 4))
def test_folds_are_even_in_all_and_by_label(items: int, folds: int, seed: int, labels: int) -> None:
    codes = np.arange(items) * 7 % labels
    fold_of = deal(items, folds, seed, codes)
    sizes = np.bincount(fold_of, minlength=folds)
    assert sizes.sum() == items
    assert sizes.max() - sizes.min() <= 1
    for label in range(labels):
        own = np.bincount(fold_of[codes == label], minlength=folds)
        assert own.max() - own.min() <= 1
    tested = np.zeros(items, int)
    for fold in range(folds):
        parts = np.frombuffer(parts_of_fold(fold_of, fold), np.uint8)
        assert set(parts.tolist()) <= {TRAIN, TEST}
        tested += parts == TEST
    assert (tested == 1).all()


def test_items_with_one_prompt_share_a_fold() -> None:
    numbers, firsts = np.array([0, 5, 9, 2, 7]), np.array([0, 0, 0, 2, 2])
    for seed in range(20):
        fold_of = deal(12, 3, seed, None, (numbers, firsts))
        assert len(set(fold_of[[0, 5, 9]].tolist())) == len(set(fold_of[[2, 7]].tolist())) == 1


def test_another_seed_deals_otherwise() -> None:
    assert (deal(100, 5, 1) == deal(100, 5, 1)).all()
    assert (deal(100, 5, 1) != deal(100, 5, 2)).any()
    # Written down, so that another machine or version that deals otherwise is seen.
    assert deal(10, 3, 1).tolist() == DEALT


DEALT = [2, 1, 0, 0, 0, 1, 2, 2, 1, 0]


@given(st.lists(st.integers(-1, 9), min_size=20, max_size=200), st.integers(2, 4), st.integers(0, 50))
def test_groups_stay_whole(group_of: list[int], folds: int, seed: int) -> None:
    fold_of = deal_groups(np.array(group_of), [f"g{number}" for number in range(10)], folds, seed)
    for group in range(10):
        assert len(set(fold_of[np.array(group_of) == group].tolist())) <= 1
    assert (fold_of[np.array(group_of) == -1] == NEVER).all()
    pooled = np.frombuffer(pooled_parts(fold_of), np.uint8)
    assert ((pooled == UNUSED) == (np.array(group_of) == -1)).all()


def test_the_largest_groups_go_to_the_smallest_folds() -> None:
    group_of = np.repeat([0, 1, 2, 3], [50, 30, 20, 10])
    fold_of = deal_groups(group_of, list("abcd"), 2, 1)
    assert sorted(np.bincount(fold_of).tolist()) == [50, 60]


@given(st.integers(5, 300), st.integers(0, 100), st.integers(1, 5))
def test_smaller_parts_of_train_are_inside_larger_ones(items: int, seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.choice([TRAIN, TRAIN, TRAIN, VALIDATION, TEST], items).astype(np.uint8)
    codes = rng.integers(0, labels, items)
    before: set[int] = set()
    train = parts == TRAIN
    for share in (0.1, 0.2, 0.5, 0.9):
        drawn = np.frombuffer(nested(parts, share, seed, codes), np.uint8)
        assert (drawn[~train] == parts[~train]).all()
        kept = set(np.flatnonzero(drawn == TRAIN).tolist())
        assert len(kept) == (max(1, round(share * train.sum())) if train.any() else 0)
        assert before <= kept
        before = kept
        for label in range(labels):
            wanted = share * (train & (codes == label)).sum()
            # Each stratum is within one item of its share; the rounding of the whole moves it by another.
            assert abs(sum(codes[number] == label for number in kept) - wanted) <= 2


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_another_seed_nests_otherwise(share: float) -> None:
    parts = np.zeros(100, np.uint8)
    assert nested(parts, share, 1) != nested(parts, share, 2)
