"""Bootstrap, permutation, Holm, kappa and seeds against scipy, statsmodels, scikit-learn and published examples."""

import gc
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score, f1_score
from statsmodels.stats.multitest import multipletests

from app.metrics import macro_f1
from app.statistics import (
    Grouping,
    Ranked,
    bca,
    cohen_kappa,
    grouping,
    holm,
    mean_of,
    over_seeds,
    paired_bootstrap,
    permutation_test,
    ranked_bootstrap,
    rate_of,
    smallest_mean_difference,
    wilson,
)
from app.statistics.draws import resampled, table, weights
from tests.metrics.samples import classification


def items(n: int) -> Grouping:
    """Items that are drawn alone."""
    return grouping([None] * n)


def mean(values):
    """The mean of an array."""
    return mean_of(np.asarray(values, float), np.arange(len(values)))


@pytest.fixture(scope="module")
def no_garbage() -> Iterator[None]:
    """statsmodels collects garbage in each call: a second, where all that the tests have made is looked through."""
    gc.freeze()
    yield
    gc.unfreeze()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None)
def test_holm_agrees_with_statsmodels(no_garbage: None, p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_by_hand() -> None:
    # 3 · 0.01, then 2 · 0.02, then 1 · 0.03, which may not be below the one before.
    assert holm([0.02, 0.03, 0.01]) == pytest.approx([0.04, 0.04, 0.03])
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(3))
def test_bca_agrees_with_scipy_on_the_same_resamples(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(size=40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=seed, vectorized=True)
    found = theirs.bootstrap_distribution
    jackknife = (values.sum() - values) / 39
    low, high = bca(values.mean(), found, jackknife)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), rel=2e-3)
    # The same units, counted instead of listed.
    doubled = np.repeat(values, 2)
    listed = bca(doubled.mean(), found, (doubled.sum() - doubled) / 79)
    counted = bca(doubled.mean(), found, (doubled.sum() - values) / 79, np.full(40, 2))
    assert counted == pytest.approx(listed)


def test_the_paired_bootstrap_agrees_with_scipy() -> None:
    random = np.random.default_rng(9)
    a = random.exponential(size=120)
    b = a + random.normal(0.1, 0.5, size=120)
    ours = paired_bootstrap([mean(a)], [mean(b)], items(120))
    theirs = stats.bootstrap((a - b,), np.mean, n_resamples=20_000, method="BCa", rng=2).confidence_interval
    assert ours.value == pytest.approx((a - b).mean())
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.04 * width)
    plain = paired_bootstrap([mean(a)], [mean(b)], items(120), method="percentile")
    assert plain.low == pytest.approx(ours.low, abs=0.2 * width)


def test_joint_counts_are_drawn_as_items_are() -> None:
    random = np.random.default_rng(3)
    hits = [random.random(4000) < share for share in (0.6, 0.7)]
    counted = table([rate_of(one, np.arange(4000)) for one in hits], items(4000))
    assert len(counted.rows) == 4
    found = resampled(counted, 4000)
    assert found.mean(axis=0) == pytest.approx([one.mean() for one in hits], abs=1e-3)
    assert np.cov(found.T) == pytest.approx(np.cov(np.array(hits).astype(float)) / 4000, rel=0.15, abs=4e-6)


def test_macro_f1_of_resampled_counts_is_that_of_the_drawn_items() -> None:
    sample = classification(60)
    made = table([macro_f1.METRIC.per_item(sample)], items(60))
    drawn = next(weights(made.counts, 5, 1))
    ours = made.values(drawn @ made.rows)[:, 0]
    side = macro_f1.METRIC.per_item(sample)
    keys = [tuple(row) for row in side.cells[side.of]]
    for counts, value in zip(drawn, ours, strict=True):
        chosen: list[int] = []
        for row, times in zip(made.rows, counts, strict=True):
            alike = [i for i, key in enumerate(keys) if key == tuple(row)]
            chosen += list(itertools.islice(itertools.cycle(alike), int(times)))
        gold, said = [sample.expected[i] for i in chosen], [sample.answers[i] for i in chosen]
        assert value == pytest.approx(f1_score(gold, said, average="macro"))


def test_every_swap_of_a_few_items_agrees_with_scipy() -> None:
    random = np.random.default_rng(4)
    a, b = random.normal(size=10), random.normal(0.6, 1, size=10)

    def statistic(x, y, axis):
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    theirs = stats.permutation_test(
        (a, b), statistic, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    assert permutation_test([mean(a)], [mean(b)], items(10)) == pytest.approx(theirs)


# Fisher RA (1935), The Design of Experiments, section 21: Darwin's 15 pairs of cross- and self-fertilised maize,
# differences in eighths of an inch; 1,726 of the 32,768 swaps are as extreme: p = 0.05267.
def test_darwins_maize() -> None:
    gaps = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    p = permutation_test([mean(gaps)], [mean(np.zeros(15))], items(15), 40_000)
    assert p == pytest.approx(1726 / 32768, abs=4 * math.sqrt(0.0527 * 0.9473 / 40_000))


def test_swaps_of_rates_agree_with_mcnemar() -> None:
    a = np.array([True] * 9 + [False] * 3 + [True] * 40)
    b = np.array([False] * 9 + [True] * 3 + [True] * 40)
    p = permutation_test([rate_of(a, np.arange(52))], [rate_of(b, np.arange(52))], items(52))
    assert p == pytest.approx(stats.binomtest(3, 12).pvalue)


def test_copies_of_items_in_groups_change_nothing() -> None:
    random = np.random.default_rng(6)
    a, b = random.normal(size=40), random.normal(0.3, 1, size=40)
    alone = [mean(a)], [mean(b)], items(40)
    copied = [mean(np.repeat(a, 5))], [mean(np.repeat(b, 5))], grouping([f"g{i // 5}" for i in range(200)])
    one, many = paired_bootstrap(*alone), paired_bootstrap(*copied)
    assert (many.low, many.high) == pytest.approx((one.low, one.high), rel=1e-6)
    assert permutation_test(*copied) == permutation_test(*alone)


def test_a_difference_of_ranks_is_resampled_with_both_models() -> None:
    random = np.random.default_rng(8)
    gold = random.normal(size=90)
    sides = [
        Ranked(np.arange(90), np.column_stack([gold, gold + random.normal(0, spread, 90)]), _pearson)
        for spread in (0.5, 2.0)
    ]
    estimate, p = ranked_bootstrap(sides[:1], sides[1:], items(90), 800)
    assert estimate.value == pytest.approx(sides[0].value - sides[1].value)
    assert estimate.low > 0
    assert p < 0.05
    alike, p = ranked_bootstrap(sides[:1], sides[:1], items(90), 200)
    assert (alike.value, p) == (0, 1)


def _pearson(data, w):
    n = w.sum(axis=0)
    x, y = (data[:, [i]] - (w * data[:, [i]]).sum(axis=0) / n for i in (0, 1))
    return (w * x * y).sum(axis=0) / np.sqrt((w * x**2).sum(axis=0) * (w * y**2).sum(axis=0))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_kappa_agrees_with_scikit_learn(pairs) -> None:
    a, b = [list(side) for side in zip(*pairs, strict=True)]
    found = cohen_kappa(a, b)
    if len({*a, *b}) == 1:
        assert math.isnan(found.value)
        return
    assert found.value == pytest.approx(cohen_kappa_score(a, b))


def test_kappa_of_a_published_table() -> None:
    # Fleiss JL, Levin B, Paik MC (2003), Statistical Methods for Rates and Proportions, Table 18.1: 100 subjects,
    # two raters, three diagnoses: κ = 0.68.
    counts = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]
    a = [i for i, row in enumerate(counts) for n in row for _ in range(n)]
    b = [j for row in counts for j, n in enumerate(row) for _ in range(n)]
    found = cohen_kappa(list(map(str, a)), list(map(str, b)))
    assert round(found.value, 2) == 0.68
    assert 0.45 < found.low < found.value < found.high < 0.85
    with pytest.raises(ValueError, match="at least one item"):
        cohen_kappa([], [])


def test_seeds_are_told_apart_from_items() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(size=300)
    seeds = [mean(hard + shift) for shift in (0.0, 0.1, 0.5)]
    found = over_seeds(seeds, items(300))
    assert found.mean == pytest.approx(hard.mean() + 0.2)
    assert found.sd == pytest.approx(np.std([0.0, 0.1, 0.5], ddof=1))
    assert (found.most - found.least) == pytest.approx(0.5)
    # All seeds meet the same items, so more seeds do not narrow the interval.
    assert found.high - found.low == pytest.approx(2 * 1.96 * hard.std() / math.sqrt(300), rel=0.1)
    assert over_seeds(seeds[:1], items(300)).sd is None


def test_smallest_mean_difference_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(2)
    d = smallest_mean_difference(100, 2.0)
    found = np.mean([stats.ttest_1samp(random.normal(d, 2, 100), 0).pvalue < 0.05 for _ in range(1500)])
    assert 0.75 < found < 0.84
    assert smallest_mean_difference(0, 1.0) == math.inf


def test_the_same_data_give_the_same_numbers_in_any_order() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(size=200), random.normal(size=200)
    order = random.permutation(200)
    one = paired_bootstrap([mean(a)], [mean(b)], items(200))
    other = paired_bootstrap([mean(a[order])], [mean(b[order])], items(200))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_weights_hold_one_chunk_and_draw_every_unit() -> None:
    for counts in (np.ones(1000, np.int64), np.array([400, 500, 100])):
        chunks = list(weights(counts, 30, 1, items=500_000))
        assert [len(chunk) for chunk in chunks] == [4] * 7 + [2]
        assert all((chunk.sum(axis=1) == 1000).all() for chunk in chunks)


def covers(share: float, trials: int) -> bool:
    """Whether a share of covered trials is 95 % within Monte-Carlo error and the known error of small samples."""
    return 0.95 - 0.02 - 3 * math.sqrt(0.95 * 0.05 / trials) < share < 0.985


@pytest.mark.slow
@pytest.mark.parametrize(("p", "n"), [(0.1, 100), (0.5, 50), (0.7, 501), (0.95, 200)])
def test_wilson_covers(p: float, n: int) -> None:
    drawn = np.random.default_rng(n).binomial(n, p, 4000)
    assert covers(np.mean([low <= p <= high for low, high in (wilson(int(x), n) for x in drawn)]), 4000)


@pytest.mark.slow
def test_bca_covers_a_skewed_mean() -> None:
    random, hits = np.random.default_rng(1), 0
    for _ in range(600):
        found = over_seeds([mean(random.exponential(size=80))], items(80), 1000)
        hits += found.low <= 1 <= found.high
    assert covers(hits / 600, 600)


@pytest.mark.slow
def test_paired_bootstrap_covers_and_the_permutation_test_keeps_its_size() -> None:
    random, hits, claims = np.random.default_rng(2), 0, 0
    for _ in range(600):
        common = random.exponential(size=100)
        a, b = common + random.exponential(size=100), common + random.exponential(size=100)
        found = paired_bootstrap([mean(a)], [mean(b)], items(100), 1000)
        hits += found.low <= 0 <= found.high
        claims += permutation_test([mean(a)], [mean(b)], items(100), 999) < 0.05
    assert covers(hits / 600, 600)
    assert claims / 600 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


@pytest.mark.slow
def test_cluster_bootstrap_covers_where_items_alone_do_not() -> None:
    random, whole, alone = np.random.default_rng(3), 0, 0
    groups = [f"g{i // 8}" for i in range(400)]
    for _ in range(500):
        values = np.repeat(random.normal(size=50), 8) + 0.5 * random.normal(size=400)
        found = over_seeds([mean(values)], grouping(groups), 1000)
        naive = over_seeds([mean(values)], items(400), 500)
        whole += found.low <= 0 <= found.high
        alone += naive.low <= 0 <= naive.high
    assert covers(whole / 500, 500)
    assert alone / 500 < 0.7
