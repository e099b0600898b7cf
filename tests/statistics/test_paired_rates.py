"""Right and wrong of two models over groups and seeds: against enumeration, statsmodels, and in simulation."""

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.statistics import (
    Z,
    grouping,
    grouping_by_number,
    mcnemar_exact,
    paired_difference,
    paired_rates,
    permutation_test,
    rate_of,
    swap_test,
)
from app.statistics.paired_rates import LEAST_P


def clustered(groups: int, most: int, shared: float, seed: int, ahead: float = 0.1):
    """(group of each item, right of A, right of B): a share `shared` of what makes an item easy for a model is its
    group's, and A is right with a chance of 0.8, B with `ahead` less."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), random.integers(1, most + 1, groups))
    n = len(group)
    sides = []
    common = random.normal(size=groups)[group], random.normal(size=n)
    for chance in (0.8, 0.8 - ahead):
        of_group = 0.6 * common[0] + 0.8 * random.normal(size=groups)[group]
        of_item = 0.6 * common[1] + 0.8 * random.normal(size=n)
        easy = math.sqrt(shared) * of_group + math.sqrt(1 - shared) * of_item
        sides.append(easy < stats.norm.ppf(chance))
    return group, *sides


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=11))
@settings(max_examples=150, deadline=None)
def test_the_swap_test_is_all_swaps_counted(gaps: list[int]) -> None:
    seen = abs(sum(gaps))
    sums = [
        abs(sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(gaps))
    ]
    assert swap_test(np.array(gaps)) == pytest.approx(np.mean([one >= seen for one in sums]), abs=1e-12)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 4))
def test_units_alike_are_mcnemar(only_a: int, only_b: int, size: int) -> None:
    gaps = np.array([size] * only_a + [-size] * only_b + [0], dtype=np.int64)
    assert swap_test(gaps) == pytest.approx(mcnemar_exact(only_a, only_b), rel=1e-12)


def test_the_swap_test_is_the_drawn_permutation_test() -> None:
    group, a, b = clustered(60, 8, 0.4, 3, ahead=0.06)
    drawn = grouping_by_number(group)
    exact = paired_rates([a], [b], drawn).p
    swaps = 40_000
    sides = [[rate_of(side, np.arange(len(side)))] for side in (a, b)]
    by_chance = permutation_test(*sides, drawn, swaps)
    assert 0.001 < exact < 0.9
    assert by_chance == pytest.approx(exact, abs=4 * math.sqrt(exact / swaps))


def test_a_p_that_is_nearly_nothing_is_never_zero() -> None:
    assert swap_test(np.array([3, 2] * 200)) == LEAST_P


def test_groups_by_number_are_those_by_name() -> None:
    random = np.random.default_rng(5)
    for most, n in ((5, 100), (40, 100), (200, 90)):
        numbers = random.integers(-1, most, n)
        names = [None if one < 0 else f"g{one}" for one in numbers]
        one, other = grouping_by_number(numbers), grouping(names)
        assert one.count == other.count
        assert len({*zip(one.unit.tolist(), other.unit.tolist(), strict=True)}) == one.count


def test_single_runs_on_independent_items_get_mcnemar_and_tango() -> None:
    random = np.random.default_rng(1)
    a, b = random.random(80) < 0.7, random.random(80) < 0.5
    found = paired_rates([a], [b], grouping([None] * 80))
    counts = [int((x & y).sum()) for x, y in ((a, b), (a, ~b), (~a, b), (~a, ~b))]
    assert (found.difference, found.low, found.high) == paired_difference(*counts)
    assert found.p == mcnemar_exact(counts[1], counts[2])
    assert (found.units, found.whole_groups, found.worth) == (80, False, 80)


def test_the_design_effect_is_that_of_cluster_robust_errors() -> None:
    group, a, b = clustered(45, 9, 0.5, 7)
    found = paired_rates([a], [b], grouping_by_number(group))
    gap = a.astype(float) - b
    robust = sm.OLS(gap, np.ones(len(gap))).fit(cov_type="cluster", cov_kwds={"groups": group})
    wider = stats.t.ppf(0.975, 44) / Z
    variance = float(robust.cov_params()[0, 0])
    assert found.worth == pytest.approx(len(gap) * gap.var() / len(gap) / variance / wider**2, rel=1e-9)
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(gap.mean())
    # With many groups Tango's ends come near those of Wald.
    half = stats.t.ppf(0.975, 44) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((gap.mean() - half, gap.mean() + half), abs=half / 5)


def test_seeds_count_by_their_mean_and_alike_seeds_add_nothing() -> None:
    _, a, b = clustered(300, 1, 0.0, 2)
    drawn = grouping([None] * len(a))
    one, three = paired_rates([a], [b], drawn), paired_rates([a, a, a], [b, b], drawn)
    assert three.p == pytest.approx(one.p, rel=1e-6)
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=2e-3)
    random = np.random.default_rng(4)
    others = [np.where(random.random(len(a)) < 0.2, ~a, a) for _ in range(4)]
    spread = paired_rates(others, [b], drawn)
    assert spread.difference == pytest.approx(np.mean(others) - b.mean())
    single = paired_rates(others[:1], [b], drawn)
    assert spread.high - spread.low < single.high - single.low


def test_without_a_differing_item_a_group_counts_once() -> None:
    right = np.ones(400, dtype=bool)
    found = paired_rates([right], [right], grouping_by_number(np.arange(400) // 10))
    assert (found.low, found.high) == pytest.approx(paired_difference(40, 0, 0, 0)[1:])
    assert (found.p, found.apart) == (1.0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "most", "shared"), [(20, 10, 0.3), (50, 6, 0.5), (150, 4, 0.3), (60, 5, 0.0)]
)
def test_with_groups_the_interval_covers_and_the_test_keeps_its_size(
    groups: int, most: int, shared: float
) -> None:
    trials, inside, claims, naive = 1500, 0, 0, 0
    for seed in range(trials):
        group, a, b = clustered(groups, most, shared, seed)
        found = paired_rates([a], [b], grouping_by_number(group))
        inside += found.low <= 0.1 <= found.high
        group, a, b = clustered(groups, most, shared, seed, ahead=0)
        claims += paired_rates([a], [b], grouping_by_number(group)).p < 0.05
        naive += mcnemar_exact(int((a & ~b).sum()), int((b & ~a).sum())) < 0.05
    error = 3 * math.sqrt(0.05 * 0.95 / trials)
    assert 0.93 - error < inside / trials < 0.985
    assert claims / trials < 0.05 + error
    if shared == 0.5:
        assert naive / trials > 0.07


@pytest.mark.slow
def test_mcnemar_keeps_its_size_and_tango_covers() -> None:
    random = np.random.default_rng(4)
    for only in (0.05, 0.15):
        drawn = random.multinomial(300, [0.5, only, only, 0.5 - 2 * only], 3000)
        claims = np.mean([mcnemar_exact(int(x[1]), int(x[2])) < 0.05 for x in drawn])
        assert claims <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)
        inside = [
            low <= 0 <= high for _, low, high in (paired_difference(*map(int, x)) for x in drawn[:1500])
        ]
        assert 0.93 - 3 * math.sqrt(0.95 * 0.05 / 1500) < np.mean(inside) < 0.985
