"""Intervals against published tables, scipy, and simulated truth."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from app.metrics._intervals import LARGE, from_sums, mean, rate
from app.statistics import Sums, grouping, wilson


# Newcombe RG (1998), Statistics in Medicine 17:857-872, Table I, method 3.
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("right", "n"), [(173, 501), (0, 1), (1, 1), (501, 501), (17, 20)])
def test_wilson_agrees_with_statsmodels(right: int, n: int) -> None:
    assert wilson(right, n) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-9)


def test_bca_agrees_with_scipy() -> None:
    values = np.random.default_rng(5).exponential(size=80)
    ours = mean(values, [None] * 80, (0, np.inf))
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    covered = 0
    for _ in range(150):
        value = mean(random.gamma(2.0, size=60), [None] * 60, (0, np.inf))
        covered += value.low <= 2.0 <= value.high
    assert 0.88 <= covered / 150 <= 0.99


def test_many_items_take_the_normal_interval() -> None:
    values = np.random.default_rng(2).normal(size=LARGE + 1)
    found = mean(values, [None] * len(values), (-np.inf, np.inf))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.high - found.value == pytest.approx(half, rel=0.15)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_equal_items_have_no_interval_rather_than_one_of_no_width() -> None:
    found = mean(np.full(50, 0.3), [None] * 50, (0, 1))
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == (None, None)


def test_copies_of_items_in_groups_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(7)
    values = random.normal(size=100)
    hits = random.random(100) < 0.6
    names = [f"g{i}" for i in range(100)]
    alone = mean(values, names, (-np.inf, np.inf))
    copied = mean(np.repeat(values, 10), list(np.repeat(names, 10)), (-np.inf, np.inf))
    naive = mean(np.repeat(values, 10), [None] * 1000, (-np.inf, np.inf))
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.01)
    assert naive.high - naive.low < 0.4 * (copied.high - copied.low)
    assert copied.detail == {"groups": 100}
    one = rate(hits.tolist(), names)
    ten = rate(np.repeat(hits, 10).tolist(), list(np.repeat(names, 10)))
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high), abs=0.002)
    assert ten.n == 1000


def test_groups_that_do_not_matter_leave_a_rate_as_it_is() -> None:
    # Each group is right half of the time: the variance by groups is nothing, and n is never taken as more.
    hits, groups = [True, False] * 100, [f"g{i // 2}" for i in range(200)]
    found = rate(hits, groups)
    assert (found.low, found.high) == pytest.approx(wilson(100, 200))


def test_few_groups_are_not_drawn() -> None:
    drawn = grouping(["a"] * 50 + ["b"] * 50)
    assert drawn.count == 100
    assert not drawn.whole_groups
    assert list(drawn.unit) == list(range(100))


def test_items_without_a_group_stand_for_themselves() -> None:
    drawn = grouping([f"g{i // 2}" for i in range(60)] + [None, None])
    assert drawn.count == 32
    assert drawn.unit[60] != drawn.unit[61]


def test_a_statistic_that_is_undefined_on_some_resamples_uses_the_others() -> None:
    rows = np.array([[1.0, 1.0]] * 3 + [[0.0, 0.0]] * 3)
    side = Sums(
        np.arange(6), rows, np.arange(6), lambda sums: np.where(sums[:, 1] > 2, sums[:, 0] / 6, np.nan)
    )
    found = from_sums(side, [None] * 6, (0, 1))
    assert found.value == pytest.approx(0.5)
    assert found.low >= 0.5
