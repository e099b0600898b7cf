"""The sentence of the compare page says what the items show, and no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.comparisons.sentence import p_text, plain_sentence, points
from app.statistics import mcnemar_exact, paired_difference

counts = st.integers(0, 40)


def test_a_clear_difference() -> None:
    assert plain_sentence("Trees", "Nearest", 300, 31, 11, 159) == (
        "Trees is ahead by 4.0 points (95 % interval 1.5 to 6.7); "
        "31 items only Trees got right, 11 only Nearest; p = 0.003."
    )


def test_the_better_one_comes_first_whichever_way_they_are_given() -> None:
    one = plain_sentence("Trees", "Nearest", 300, 31, 11, 159)
    assert plain_sentence("Nearest", "Trees", 300, 11, 31, 159) == one


def test_noise() -> None:
    assert plain_sentence("Trees", "Nearest", 264, 40, 33, 73) == (
        "The difference of 1.7 points (95 % interval −2.4 to 5.9) between Trees and Nearest is within noise: "
        "40 items only Trees got right, 33 only Nearest; p = 0.48."
    )


def test_no_item_tells_them_apart() -> None:
    assert plain_sentence("Trees", "Nearest", 5, 0, 0, 4) == (
        "Trees and Nearest are right on the same 5 of 9 items: no difference was seen "
        "(95 % interval −29.9 to 29.9 points)."
    )


def test_too_few_items_to_judge() -> None:
    assert plain_sentence("Trees", "Nearest", 3, 1, 0, 0) == (
        "The difference of 25.0 points (95 % interval −36.2 to 69.9) between Trees and Nearest cannot be judged: "
        "only 1 of 4 items set them apart. 1 item only Trees got right, 0 only Nearest; p = 1."
    )


def test_no_shared_items() -> None:
    assert plain_sentence("Trees", "Nearest", 0, 0, 0, 0) == "These two runs share no items."


def test_an_interval_without_zero_is_not_enough_when_the_test_disagrees() -> None:
    low = paired_difference(100, 9, 2, 100)[1]
    assert low > 0
    assert mcnemar_exact(9, 2) > 0.05
    assert "within noise" in plain_sentence("Trees", "Nearest", 100, 9, 2, 100)


@given(counts, counts, counts, counts)
@settings(max_examples=150, deadline=None)
def test_it_never_says_ahead_without_both_proofs(both: int, only_a: int, only_b: int, neither: int) -> None:
    said = plain_sentence("X", "Y", both, only_a, only_b, neither)
    if " is ahead by " in said:
        assert mcnemar_exact(only_a, only_b) < 0.05
        _, low, high = paired_difference(both, only_a, only_b, neither)
        assert low > 0 or high < 0
        assert said.startswith("X" if only_a > only_b else "Y")
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("p", "text"),
    [(1e-9, "p < 0.001"), (0.0031, "p = 0.003"), (0.0496, "p = 0.0496"), (0.0502, "p = 0.0502"), (0.077, "p = 0.077"),
     (0.4773, "p = 0.48"), (1.0, "p = 1"), (0.9999, "p = 1")],
)  # fmt: skip
def test_p_is_never_rounded_across_the_line(p: float, text: str) -> None:
    assert p_text(p) == text


def test_points() -> None:
    assert [points(rate) for rate in (0.04, -0.0234, -0.0001, 0)] == ["4.0", "−2.3", "0.0", "0.0"]
