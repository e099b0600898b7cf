"""Paired statistics against published tables, statsmodels and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from app.statistics import USUAL_DISCORDANT, Z, mcnemar_exact, paired_difference, smallest_difference

counts = st.integers(0, 60)


@given(counts, counts)
@settings(max_examples=80, deadline=None)
def test_mcnemar_agrees_with_statsmodels(only_a: int, only_b: int) -> None:
    ours = mcnemar_exact(only_a, only_b)
    theirs = mcnemar([[3, only_a], [only_b, 5]], exact=True).pvalue
    assert ours == pytest.approx(1.0 if only_a + only_b == 0 else theirs)
    assert ours == mcnemar_exact(only_b, only_a)


# Fagerland MW, Lydersen S, Laake P (2013), BMC Medical Research Methodology 13:91: airway hyper-responsiveness
# before and after stem cell transplantation, 1 against 7 of 21: exact conditional p = 0.0703.
@pytest.mark.parametrize(
    ("only_a", "only_b", "p"), [(1, 7, 0.0703), (12, 4, 0.0768), (6, 0, 0.03125), (5, 0, 0.0625)]
)
def test_mcnemar_by_published_examples_and_by_hand(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, abs=5e-5)


# The first two: Fagerland MW, Lydersen S, Laake P (2017), Statistical Analysis of Contingency Tables, chapter 8,
# and its R package contingencytables (Tango's interval; -0.0621, -0.1240 to -0.0054). The last: no differing
# item, where Tango's equation is solved by z² / (n + z²).
@pytest.mark.parametrize(
    ("table", "difference", "low", "high"),
    [
        ((1, 1, 7, 12), -0.286, -0.517, -0.026),
        ((59, 6, 16, 80), -0.0621, -0.1240, -0.0054),
        ((10, 0, 0, 40), 0.0, -0.0713, 0.0713),
    ],
)
def test_tango_gives_the_published_intervals(table, difference: float, low: float, high: float) -> None:
    digits = 5e-4 if table == (1, 1, 7, 12) else 5e-5
    assert paired_difference(*table) == pytest.approx((difference, low, high), abs=digits)


@given(st.integers(0, 200), counts, counts, st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_the_ends_of_the_interval_solve_the_score_equation(
    both: int, only_a: int, only_b: int, neither: int
) -> None:
    n = both + only_a + only_b + neither
    if not n:
        with pytest.raises(ValueError, match="at least one item"):
            paired_difference(both, only_a, only_b, neither)
        return
    difference, low, high = paired_difference(both, only_a, only_b, neither)
    assert -1 <= low <= difference <= high <= 1
    assert low < high
    for end, side in ((low, 1), (high, -1)):
        if abs(end) < 1 - 1e-9:
            assert score(only_a, only_b, n, end) == pytest.approx(side * Z, rel=1e-3)
    mirrored = paired_difference(neither, only_b, only_a, both)
    assert mirrored == pytest.approx((-difference, -high, -low), abs=1e-7)


def score(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Tango's statistic with the restricted likelihood maximised by search, not by his closed form."""

    def log_likelihood(q):
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = [
                np.where(count == 0, 0.0, count * np.log(p))
                for count, p in ((only_a, q + delta), (only_b, q), (n - only_a - only_b, 1 - 2 * q - delta))
            ]
        return sum(terms)

    low, high = max(0.0, -delta), (1 - delta) / 2
    for _ in range(12):
        grid = np.linspace(low, high, 200)
        best = int(np.nanargmax(log_likelihood(grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 199)]
    q = (low + high) / 2
    return (only_a - only_b - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


def test_fifty_items_show_about_twenty_points() -> None:
    assert round(100 * smallest_difference(50)) == 20


def test_smallest_difference_solves_connors_equation() -> None:
    # Connor RJ (1987), Biometrics 43:207-211: 5 % against 45 % discordant, 80 % power: 22 items.
    assert smallest_difference(22, 0.5) == pytest.approx(0.4, abs=0.005)


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_a_difference_of_that_size_is_found_about_four_times_in_five(n: int) -> None:
    d = smallest_difference(n)
    random = np.random.default_rng(n)
    shares = [(USUAL_DISCORDANT + d) / 2, (USUAL_DISCORDANT - d) / 2, 1 - USUAL_DISCORDANT]
    drawn = random.multinomial(n, shares, size=1500)
    found = np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b, _ in drawn])
    # The exact test is a little careful where items are few.
    assert 0.68 <= found <= 0.84


def test_smallest_difference_shrinks_with_items_and_grows_with_disagreement() -> None:
    by_n = [smallest_difference(n) for n in (1, 5, 20, 100, 1000, 100_000)]
    assert by_n == sorted(by_n, reverse=True)
    assert by_n[0] == 1
    by_share = [smallest_difference(500, share) for share in (0.0, 0.05, 0.2, 0.5, 1.0)]
    assert by_share == sorted(by_share)
    # However alike two models are, the difference itself must be seen: never "any difference shows".
    assert by_share[0] == pytest.approx(7.85 / 500, rel=0.01)
    assert smallest_difference(0) == 1
