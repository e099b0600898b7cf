"""Metrics of numbers, lists, JSON and text against scikit-learn, scipy, sacreBLEU and counts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from app.metrics import (
    chrf,
    exact_match,
    json_fields,
    json_valid,
    mae,
    r2,
    rank_correlation,
    rmse,
    set_match,
    within_tolerance,
)
from tests.metrics.samples import make, number


@pytest.mark.parametrize("seed", range(4))
def test_numbers_agree_with_scikit_learn_and_scipy(seed: int) -> None:
    sample = number(90, seed)
    gold, said = np.array(sample.expected, float), np.array(sample.answers, float)
    assert mae.METRIC.compute(sample).value == pytest.approx(sk.mean_absolute_error(gold, said))
    assert rmse.METRIC.compute(sample).value == pytest.approx(sk.root_mean_squared_error(gold, said))
    assert r2.METRIC.compute(sample).value == pytest.approx(sk.r2_score(gold, said))
    assert rank_correlation.METRIC.compute(sample).value == pytest.approx(stats.spearmanr(gold, said)[0])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_rank_correlation_shares_ranks_between_ties(pairs) -> None:
    gold, said = [str(one) for one, _ in pairs], [str(two) for _, two in pairs]
    found = rank_correlation.METRIC.compute(make("number", gold, said))
    if len(set(gold)) == 1 or len(set(said)) == 1:
        assert found.value is None
        return
    wanted = stats.spearmanr([one for one, _ in pairs], [two for _, two in pairs])[0]
    assert found.value == pytest.approx(wanted, abs=1e-12)


def test_rank_correlation_of_resamples_is_spearman_of_the_drawn_items() -> None:
    from app.metrics._ranks import Ranks

    random = np.random.default_rng(8)
    values = random.integers(0, 6, 40).astype(float)
    drawn = random.integers(0, 40, 40)
    weights = np.bincount(drawn, minlength=40).astype(float)
    ours = Ranks(values).within(weights[:, None])[drawn, 0]
    assert ours == pytest.approx(stats.rankdata(values[drawn]))


def test_r2_does_not_lose_digits_far_from_zero() -> None:
    sample = number(60)
    gold, said = np.array(sample.expected, float), np.array(sample.answers, float)
    far = make("number", [str(x + 1e7) for x in gold], [str(x + 1e7) for x in said])
    assert r2.METRIC.compute(far).value == pytest.approx(sk.r2_score(gold, said), rel=1e-6)


def test_answers_without_a_number_are_left_out_of_errors_and_counted() -> None:
    sample = make("number", ["1", "2", "3", "4"], ["2", None, "no idea", "7"], correct=[False] * 4)
    found = mae.METRIC.compute(sample)
    assert (found.value, found.n, found.detail["no_number"]) == (2.0, 2, 2)
    tolerated = within_tolerance.METRIC.compute(sample)
    assert (tolerated.value, tolerated.n) == (0.0, 4)


def test_errors_too_large_to_square_do_not_overflow() -> None:
    sample = make("number", ["1", "2", "3"], ["1e300", "2", "3"])
    assert rmse.METRIC.compute(sample).value == 0
    assert rmse.METRIC.compute(sample).n == 2


def test_r2_and_rank_correlation_need_numbers_that_differ() -> None:
    sample = make("number", ["5", "5", "5"], ["1", "2", "3"])
    assert r2.METRIC.compute(sample).value is None
    assert rank_correlation.METRIC.compute(sample).value is None
    assert mae.METRIC.compute(sample).value == 3


def test_chrf_by_hand() -> None:
    # "ab" for "abc": P = 1, 1; R = 2/3, 1/2; longer n-grams are in only one of them. 5·1·(7/12) / (4 + 7/12).
    found = chrf.METRIC.compute(make("text", ["abc"], ["ab"]))
    assert found.value == pytest.approx(7 / 11)


# sacreBLEU 2.6.0, CHRF() with its defaults (six orders, β = 2, blanks removed), divided by 100.
SACREBLEU = [
    ("the cat sat on the mat", "the cat is on the mat", 0.645779420625287),
    ("a", "a", 1.0),
    ("The boiling point is 78 °C.", "the boiling point of ethanol is 78.4 °C", 0.4959304755320795),
    ("", "never", 0.0),
    (
        "Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich.",
        "Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich.",
        0.64818123726097,
    ),
]


@pytest.mark.parametrize(("answer", "expected", "score"), SACREBLEU)
def test_chrf_agrees_with_sacrebleu(answer: str, expected: str, score: float) -> None:
    assert chrf.METRIC.compute(make("text", [expected], [answer])).value == pytest.approx(score, abs=1e-12)


def test_chrf_of_many_texts_sums_counts_first() -> None:
    expected, answers = [row[1] for row in SACREBLEU], [row[0] for row in SACREBLEU]
    found = chrf.METRIC.compute(make("text", expected, answers))
    assert found.value == pytest.approx(0.59801299615958946, abs=1e-12)


def test_chrf_without_any_character_has_no_value() -> None:
    assert chrf.METRIC.compute(make("text", [""], [" "])).value is None


def test_exact_match_compares_characters_and_set_match_follows_the_rules() -> None:
    sample = make("list", ["a, b", "c"], ["b, a", "c"], correct=[True, True])
    assert exact_match.METRIC.compute(sample).value == 0.5
    assert set_match.METRIC.compute(sample).value == 1


def test_valid_json() -> None:
    answers = ["{}", "[1, 2]", '"text"', "{'a': 1}", '{"a": NaN}', "[" * 500 + "]" * 500, "[" * 100_000, None]
    found = json_valid.METRIC.compute(make("json", ["{}"] * len(answers), answers))
    assert (found.value, found.n) == (3 / 8, 8)


def test_json_fields_by_hand() -> None:
    expected = ['{"a": 1, "b": {"c": "x", "d": [1, 2]}}'] * 4
    answers = [
        '{"b": {"d": [1, 2], "c": "x"}, "a": 1}',
        '{"a": true, "b": {"c": "x", "d": [2, 1]}, "more": 0}',
        "not JSON",
        None,
    ]
    found = json_fields.METRIC.compute(make("json", expected, answers))
    # 4 of 4, then only b.c: true is not 1, and arrays keep their order.
    assert found.value == pytest.approx((1 + 1 / 4) / 4)
    assert found.detail["fields"]["b.c"] == {"right": 2, "n": 4}
    assert found.detail["fields"]["a"] == {"right": 1, "n": 4}


@pytest.mark.parametrize(
    ("expected", "answer", "share"),
    [
        ("{}", "{}", 1),
        ("{}", '{"a": 1}', 0),
        ("3", "3.0", 1),
        ("odd", "odd", 1),
        ("odd", "null", 0),
        ('"odd"', "odd", 0),
    ],
)
def test_json_fields_of_values_without_fields(expected: str, answer: str, share: float) -> None:
    assert json_fields.METRIC.compute(make("json", [expected], [answer])).value == share
