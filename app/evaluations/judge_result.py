"""What a judging found: counts, score with interval, cost; and agreement with labels given by hand. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.evaluations.judge_marks import Verdict, verdicts
from app.evaluations.judge_prompts import PAIR, POINTS
from app.metrics import Sample
from app.metrics.judge_score import METRIC
from app.statistics import Estimate, cohen_kappa, wilson
from app.tables import JudgeMark, Judging, MarkState

# From this many points of ten on an answer counts as right, where a person said right or wrong.
RIGHT_FROM = 0.5
FEWEST_FOR_KAPPA = 2


@dataclass(frozen=True)
class Usage:
    """Tokens and money of the marks so far; money is None where the endpoint has no prices."""

    input_tokens: int
    output_tokens: int
    microdollars: int | None


def usage(judging: Judging, input_tokens: int, output_tokens: int) -> Usage:
    """The cost of so many tokens at the judging's prices."""
    cost = microdollars(judging.input_microdollars, judging.output_microdollars, input_tokens, output_tokens)
    return Usage(input_tokens, output_tokens, cost)


def microdollars(
    input_price: int | None, output_price: int | None, input_tokens: float, output_tokens: float
) -> int | None:
    """Prices are micro-dollars for a million tokens; rounded up."""
    if input_price is None or output_price is None:
        return None
    return int(-(-(input_price * input_tokens + output_price * output_tokens) // 1_000_000))


def result(judging: Judging, marks: Sequence[JudgeMark], groups: Mapping[int, str | None]) -> dict[str, Any]:
    """The numbers that the pages show, as stored with the judging: value, low and high from 0 to 1 over n items;
    for a pair the share of items that the first run wins, ties counted half."""
    found = verdicts(marks, judging.scale)
    states = Counter(mark.state for mark in marks)
    value = METRIC.compute(_sample(found, groups))
    spent = usage(judging, sum(m.input_tokens for m in marks), sum(m.output_tokens for m in marks))
    counts = Counter(verdict.value for verdict in found)
    return {
        "value": value.value if value else None,
        "low": value.low if value else None,
        "high": value.high if value else None,
        "n": len(found),
        "unreadable": states[MarkState.UNREADABLE],
        "failed": states[MarkState.FAILED],
        "waiting": states[MarkState.WAITING],
        "marks": {f"{mark:g}": n for mark, n in sorted(counts.items())},
        "inconsistent": sum(not verdict.consistent for verdict in found) if judging.scale == PAIR else None,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "microdollars": spent.microdollars,
    }


def _sample(found: Sequence[Verdict], groups: Mapping[int, str | None]) -> Sample:
    none = [None] * len(found)
    return Sample(
        task="text",
        labels=(),
        expected=[""] * len(found),
        answers=none,
        correct=[False] * len(found),
        probabilities=none,
        groups=[groups.get(verdict.number) for verdict in found],
        raw=none,
        marks=[verdict.value for verdict in found],
    )


@dataclass(frozen=True)
class Agreement:
    """The judge against one person, over the `n` items that both decided; `unsure` are those that the person could
    not. `agreed` items are the same; both estimates have 95 % intervals. kappa is None with too few items."""

    n: int
    unsure: int
    agreed: int
    rate: Estimate | None
    kappa: Estimate | None


def agreement(
    judged: Mapping[int, float],
    labels: Mapping[int, float | None],
    scale: str,
    groups: Mapping[int, str | None],
) -> Agreement:
    """Cohen's kappa beside the plain rate of agreement. Points count as right from five of ten on.

    Kappa is nan where both always give the same one label.
    """
    both = sorted(number for number, label in labels.items() if label is not None and number in judged)
    unsure = sum(label is None for number, label in labels.items() if number in judged)
    judge = [_name(judged[number], scale) for number in both]
    hand = [_name(labels[number] or 0.0, scale) for number in both]
    same = sum(one == two for one, two in zip(judge, hand, strict=True))
    if not both:
        return Agreement(0, unsure, 0, None, None)
    rate = Estimate(same / len(both), *wilson(same, len(both)))
    kappa = None
    if len(both) >= FEWEST_FOR_KAPPA:
        kappa = cohen_kappa(judge, hand, [groups.get(number) for number in both])
    return Agreement(len(both), unsure, same, rate, kappa)


def _name(value: float, scale: str) -> str:
    if scale == POINTS:
        return "right" if value >= RIGHT_FROM else "wrong"
    return f"{value:g}"
