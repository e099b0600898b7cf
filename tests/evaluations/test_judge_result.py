"""Scores of marks, win rates of pairs, and agreement with people, against other implementations."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from app.evaluations.judge_marks import verdicts
from app.evaluations.judge_page import sentence
from app.evaluations.judge_result import agreement, microdollars, result
from app.tables import JudgeMark, Judging, MarkState


def judging(scale: str, **values: object) -> Judging:
    needed = {"run_id": 1, "evaluation_id": 1, "endpoint_id": 1, "project_id": 1, "maker_id": 1}
    texts = {"base_url": "", "model": "m", "prompt": "", "prompt_sha256": ""}
    return Judging(**needed, **texts, scale=scale, items=1, of_items=1, **values)  # type: ignore[arg-type]


def mark(number: int, value: float | None, side: int = 0, state: str = MarkState.MARKED) -> JudgeMark:
    return JudgeMark(
        judging_id=1, number=number, side=side, state=state, value=value, input_tokens=100, output_tokens=10
    )


def test_mean_mark_with_its_interval() -> None:
    random = np.random.default_rng(5)
    values = random.integers(0, 11, 300) / 10
    marks = [mark(n, float(v)) for n, v in enumerate(values)] + [
        mark(300, None, state=MarkState.UNREADABLE),
        mark(301, None, state=MarkState.FAILED),
    ]
    found = result(judging("points"), marks, {})
    assert found["value"] == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / math.sqrt(300)
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.006)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.006)
    assert (found["n"], found["unreadable"], found["failed"]) == (300, 1, 1)
    assert sum(found["marks"].values()) == 300


def test_pairs_that_contradict_themselves_are_ties() -> None:
    both = [(1, 1), (1, 1), (0, 0), (1, 0), (0, 1), (0.5, 0.5), (1, 0.5)]
    marks = [mark(n, v, side) for n, pair in enumerate(both) for side, v in enumerate(pair)]
    marks += [mark(7, 1, 0), mark(7, None, 1, MarkState.UNREADABLE)]
    found = result(judging("pair"), marks, {})
    assert found["marks"] == {"0": 1, "0.5": 4, "1": 2}
    assert (found["n"], found["inconsistent"]) == (7, 3)
    assert found["value"] == pytest.approx(4 / 7)
    assert [verdict.value for verdict in verdicts(marks, "pair")] == [1, 1, 0, 0.5, 0.5, 0.5, 0.5]


def test_sentence_claims_no_more_than_the_interval() -> None:
    made = judging("pair")
    marks = [mark(n, v, side) for n, v in enumerate([1] * 40 + [0] * 4) for side in (0, 1)]
    made.result = result(made, marks, {})
    assert "leaves out 50 %" in sentence(made, ("A", "B"))
    marks = [mark(n, v, side) for n, v in enumerate([1] * 11 + [0] * 9) for side in (0, 1)]
    made.result = result(made, marks, {})
    assert "cannot be told from luck" in sentence(made, ("A", "B"))
    assert "11 won, 0 tied, 9 lost" in sentence(made, ("A", "B"))
    assert sentence(judging("points"), ("A",)) == ""


def test_nothing_marked_is_no_score() -> None:
    found = result(judging("points"), [mark(0, None, state=MarkState.WAITING)], {})
    assert (found["value"], found["n"], found["waiting"]) == (None, 0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_agrees_with_others(seed: int) -> None:
    random = np.random.default_rng(seed)
    judged = {n: float(v) for n, v in enumerate(random.integers(0, 11, 120) / 10)}
    hand = {n: float((v >= 0.5) ^ (random.random() < 0.2)) for n, v in judged.items()}
    found = agreement(judged, hand, "points", {})
    one, two = [v >= 0.5 for v in judged.values()], [v == 1 for v in hand.values()]
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score(one, two))
    table = [[sum(a == x and b == y for a, b in zip(one, two, strict=True)) for y in (0, 1)] for x in (0, 1)]
    other = cohens_kappa(np.array(table))
    assert found.kappa.value == pytest.approx(other.kappa)
    # Bootstrap against the normal approximation: about the same width.
    assert found.kappa.low == pytest.approx(other.kappa_low, abs=0.05)
    assert found.kappa.high == pytest.approx(other.kappa_upp, abs=0.05)


def test_unsure_items_and_items_without_a_mark_are_left_out() -> None:
    found = agreement({0: 1.0, 1: 0.0, 2: 1.0}, {0: 1.0, 1: None, 9: 1.0}, "right", {})
    assert (found.n, found.unsure, found.agreed) == (1, 1, 1)
    assert found.kappa is None
    assert agreement({}, {0: 1.0}, "right", {}).rate is None


def test_one_label_alone_has_no_kappa() -> None:
    found = agreement(dict.fromkeys(range(9), 1.0), dict.fromkeys(range(9), 1.0), "right", {})
    assert found.kappa is not None
    assert math.isnan(found.kappa.value)
    assert found.rate is not None
    assert found.rate.value == 1


def test_cost_is_rounded_up_and_unknown_without_prices() -> None:
    assert microdollars(150_000, 600_000, 1_000_000, 1_000_000) == 750_000
    assert microdollars(150_000, 600_000, 1, 0) == 1
    assert microdollars(0, 0, 10, 10) == 0
    assert microdollars(None, None, 10, 10) is None
