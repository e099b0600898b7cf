"""Two models by every metric on the items that both answered: difference, interval, p, and how each was found.

Pure; called by pair_tests.py with samples of the same items in the same order, one for each seed of a model.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from app.metrics import Metric, Sample, for_task
from app.statistics import (
    RESAMPLES,
    Z_POWER,
    Estimate,
    Grouping,
    Ranked,
    Sums,
    Z,
    grouping,
    over_seeds,
    paired_bootstraps,
    paired_rates,
    permutation_tests,
    ranked_bootstrap,
    smallest_difference,
)
from app.statistics.sums import Numbers, ratio

# Ranks are found anew for each resample.
RESAMPLES_OF_RANKS = 2_000
RESAMPLES_OF_SEEDS = 2_000
RANK_WORK = 20_000_000


@dataclass(frozen=True)
class PairedTest:
    """One metric: A minus B in the metric's own unit (rates 0 to 1) over `n` items, with its 95 % interval (None
    without spread) and p; `smallest` is the difference
    that these items would have shown with 80 % power; `method` says in a sentence what was done."""

    metric: str
    label: str
    format: str
    direction: str
    n: int
    value_a: float
    value_b: float
    difference: float
    low: float | None
    high: float | None
    p: float
    smallest: float | None
    method: str
    # app.statistics.Replicates of either side as a dict, where it has several seeds.
    seeds_a: dict[str, Any] | None = None
    seeds_b: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Case:
    """A metric with its sides (one per seed) on the items that all of them count."""

    metric: Metric
    a: list[Sums]
    b: list[Sums]
    items: Numbers
    drawn: Grouping

    @property
    def counted(self) -> bool:
        """Whether it is a share of items that are right or wrong."""
        side = self.a[0]
        return (
            len(side.cells) == 2 and side.statistic is ratio and set(side.cells[:, 0].tolist()) == {0.0, 1.0}
        )

    @property
    def few_cells(self) -> bool:
        """Whether it is a metric of counts, which is drawn alone."""
        return len(self.a[0].cells) < len(self.items)


def paired_tests(a: Sequence[Sample], b: Sequence[Sample], resamples: int = RESAMPLES) -> list[PairedTest]:
    """Every metric that applies to both, in the order of display; `a` and `b` are one sample for each seed."""
    a, b = _same_labels([*a, *b], len(a))
    found: dict[str, PairedTest] = {}
    cases: list[_Case] = []
    metrics = for_task(a[0].task)
    for metric in metrics:
        case = _case(metric, a, b)
        if isinstance(case, PairedTest):
            found[metric.name] = case
        elif case is not None and case.counted:
            found[metric.name] = _counted(case)
        elif case is not None:
            cases.append(case)
    for together in _together(cases):
        pairs = [(case.a, case.b) for case in together]
        estimates = paired_bootstraps(pairs, together[0].drawn, resamples)
        ps = permutation_tests(pairs, together[0].drawn, resamples)
        for case, estimate, p in zip(together, estimates, ps, strict=True):
            found[case.metric.name] = _resampled(case, estimate, p, resamples)
    return [
        found[metric.name]
        for metric in metrics
        if metric.name in found and np.isfinite(found[metric.name].difference)
    ]


def _same_labels(samples: Sequence[Sample], seeds_of_a: int) -> tuple[list[Sample], list[Sample]]:
    """All samples with one list of labels, so that their columns mean the same."""
    if samples[0].task == "classification":
        expected = {gold for sample in samples for gold in sample.expected}
        labels = tuple(dict.fromkeys(label for sample in samples for label in sample.labels))
        labels += tuple(sorted(expected - set(labels)))
        samples = [replace(sample, labels=labels) for sample in samples]
    return list(samples[:seeds_of_a]), list(samples[seeds_of_a:])


def _case(metric: Metric, a: Sequence[Sample], b: Sequence[Sample]) -> _Case | PairedTest | None:
    if metric.per_item is None or (metric.name == "judge_score" and len({one.judge for one in (*a, *b)}) > 1):
        # Marks of different judges, or of one under different prompts, are not one metric.
        return None
    sides = [metric.per_item(sample) for sample in (*a, *b)]
    if any(side is None for side in sides):
        return None
    items = reduce(np.intersect1d, [side.items for side in sides if side is not None])
    if not len(items):
        return None
    drawn = grouping([a[0].groups[i] for i in items.tolist()])
    sums = [side.only(items) for side in sides if isinstance(side, Sums)]
    if len(sums) == len(sides):
        return _Case(metric, sums[: len(a)], sums[len(a) :], items, drawn)
    ranks = [side.only(items) for side in sides if isinstance(side, Ranked)]
    return _ranks(metric, ranks[: len(a)], ranks[len(a) :], drawn)


def _together(cases: Sequence[_Case]) -> list[list[_Case]]:
    """Cases that can share resamples: real-valued metrics over the same items."""
    groups: dict[tuple[bytes, str], list[_Case]] = {}
    for case in cases:
        alone = case.metric.name if case.few_cells else ""
        groups.setdefault((case.items.tobytes(), alone), []).append(case)
    return list(groups.values())


def _counted(case: _Case) -> PairedTest:
    right_a, right_b = ([side.of == 1 for side in sides] for sides in (case.a, case.b))
    found = paired_rates(right_a, right_b, case.drawn)
    n = len(right_a[0])
    single = len(case.a) == len(case.b) == 1
    if single and not found.whole_groups:
        method = f"Exact McNemar test; Tango's paired score interval, over {n:,} items."
    else:
        how = "Tango's paired score interval by the design effect"
        method = f"Exact permutation test; {how}, over {_units(case.drawn)}{_means(case)}."
    estimate = Estimate(found.difference, found.low, found.high)
    apart = np.mean([(one != two).mean() for one in right_a for two in right_b])
    smallest = smallest_difference(int(found.worth), float(apart))
    test = _test(case.metric, n, case.a, case.b, estimate, found.p, smallest, method)
    seeds_a, seeds_b = (_seeds(side, case.drawn) for side in (case.a, case.b))
    return replace(test, seeds_a=seeds_a, seeds_b=seeds_b)


def _resampled(case: _Case, estimate: Estimate, p: float, resamples: int) -> PairedTest:
    over = _units(case.drawn)
    method = f"Paired permutation test, {resamples:,} swaps; BCa bootstrap interval, {resamples:,} resamples, over {over}{_means(case)}."
    test = _test(case.metric, len(case.items), case.a, case.b, estimate, p, _shown(estimate), method)
    seeds_a, seeds_b = (_seeds(side, case.drawn) for side in (case.a, case.b))
    return replace(test, seeds_a=seeds_a, seeds_b=seeds_b)


def _means(case: _Case) -> str:
    several = max(len(case.a), len(case.b)) > 1
    return f"; means over seeds ({len(case.a)} of A, {len(case.b)} of B)" if several else ""


def _seeds(side: Sequence[Sums], drawn: Grouping) -> dict[str, Any] | None:
    return asdict(over_seeds(side, drawn, RESAMPLES_OF_SEEDS)) if len(side) > 1 else None


def _ranks(metric: Metric, a: Sequence[Ranked], b: Sequence[Ranked], drawn: Grouping) -> PairedTest:
    n = len(drawn.unit)
    resamples = max(200, min(RESAMPLES_OF_RANKS, RANK_WORK // n))
    estimate, p = ranked_bootstrap(a, b, drawn, resamples)
    method = f"Paired bootstrap, {resamples:,} resamples over {_units(drawn)}: percentile interval and its p."
    return _test(metric, n, a, b, estimate, p, _shown(estimate), method)


def _units(drawn: Grouping) -> str:
    return f"{drawn.count:,} whole groups" if drawn.whole_groups else f"{drawn.count:,} items"


def _shown(estimate: Estimate) -> float | None:
    """The smallest difference that would have been shown: (1.96 + 0.84) standard errors, read off the interval."""
    if estimate.low is None or estimate.high is None:
        return None
    return (Z + Z_POWER) * (estimate.high - estimate.low) / (2 * Z)


def _test(
    metric: Metric,
    n: int,
    a: Sequence[Sums] | Sequence[Ranked],
    b: Sequence[Sums] | Sequence[Ranked],
    estimate: Estimate,
    p: float,
    smallest: float | None,
    method: str,
) -> PairedTest:
    value_a, value_b = (float(np.mean([side.value for side in sides])) for sides in (a, b))
    # Sums of the same numbers in another order differ by rounding.
    equal = abs(estimate.value) <= 1e-12 * max(1.0, abs(value_a))
    return PairedTest(
        metric.name,
        metric.label,
        metric.format,
        metric.direction,
        n,
        value_a,
        value_b,
        0.0 if equal else estimate.value,
        estimate.low,
        estimate.high,
        p,
        smallest,
        method,
    )
