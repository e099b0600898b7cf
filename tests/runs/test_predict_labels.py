"""Class probabilities from the likeliest tokens: worked by hand, and what must hold for any tokens."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runs.label_probabilities import label_probabilities

FIVE = ["VL", "L", "U", "M", "H"]


def top(**p: float) -> list[tuple[str, float]]:
    """Tokens with their probabilities, likeliest first; "_" stands for a blank."""
    found = [(token.replace("_", " "), math.log(value)) for token, value in p.items()]
    return sorted(found, key=lambda pair: -pair[1])


def close(found: dict[str, float] | None, **wanted: float) -> bool:
    assert found is not None
    return found == pytest.approx({**dict.fromkeys(found, 0.0), **wanted})


def test_labels_of_one_token_are_exact() -> None:
    found = label_probabilities(FIVE, "L", [top(VL=0.1, L=0.6, U=0.15, M=0.1, H=0.05)])
    assert close(found, VL=0.1, L=0.6, U=0.15, M=0.1, H=0.05)


def test_case_and_blanks_are_one_label() -> None:
    found = label_probabilities(["yes", "no"], "Yes", [top(Yes=0.5, _yes=0.1, YES=0.1, no=0.2, No=0.1)])
    assert close(found, yes=0.7, no=0.3)


def test_case_counts_where_labels_differ_by_it() -> None:
    found = label_probabilities(["m", "M"], "M", [top(M=0.8, m=0.2)])
    assert close(found, m=0.2, M=0.8)


def test_a_label_of_two_tokens_is_walked() -> None:
    # "V" then L or H: P(VL) = 0.5 * 0.9, P(VH) = 0.5 * 0.1.
    tops = [top(V=0.5, M=0.5), top(L=0.9, H=0.1)]
    assert close(label_probabilities(["VL", "VH", "M"], "VL", tops), VL=0.45, VH=0.05, M=0.5)


def test_an_alternative_beginning_is_shared_by_the_labels_that_begin_so() -> None:
    tops = [top(M=0.6, V=0.4)]
    assert close(label_probabilities(["VL", "VH", "M"], "M", tops), VL=0.2, VH=0.2, M=0.6)


def test_one_label_that_begins_another() -> None:
    # The answer "M" ended: the end had 0.7, and "H" (for MH) 0.3.
    tops = [[("M", math.log(1.0))], [("<end>", math.log(0.7)), ("H", math.log(0.3))]]
    assert close(label_probabilities(["M", "MH"], "M", tops), M=0.7, MH=0.3)
    assert close(label_probabilities(["M", "MH"], "MH", tops), M=0.7, MH=0.3)
    assert close(label_probabilities(["M", "MH"], "M", tops[:1]), M=1.0)


def test_labels_below_the_listed_tokens_share_what_is_not_listed() -> None:
    # 0.1 is not listed; U, M and H share it, each at most the smallest listed.
    found = label_probabilities(FIVE, "L", [top(L=0.85, VL=0.05)])
    assert close(found, L=0.85, VL=0.05, U=0.1 / 3, M=0.1 / 3, H=0.1 / 3)
    found = label_probabilities(["a", "b"], "a", [top(a=0.6, x=0.01)])
    assert close(found, a=0.6 / 0.61, b=0.01 / 0.61)


def test_other_words_are_no_label() -> None:
    found = label_probabilities(FIVE, "L", [top(L=0.5, Low=0.3, H=0.2)])
    assert found is not None
    assert found["L"] / found["H"] == pytest.approx(2.5)
    assert label_probabilities(["a", "b"], "I cannot say", [top(I=0.9, We=0.1)]) is None


def test_a_long_answer_that_only_begins_like_a_label_does_not_count_for_it() -> None:
    found = label_probabilities(["VL", "H"], "Very", [top(V=0.9, H=0.1), top(ery=1.0)])
    assert close(found, H=1.0)


def test_label_within_json() -> None:
    before = '{"answer": "'
    tops = [
        [('{"', 0.0)],
        [("answer", 0.0)],
        [('": "', 0.0)],
        top(VL=0.7, H=0.3),
        [('"}', 0.0)],
    ]
    assert close(label_probabilities(["VL", "H"], before + 'VL"}', tops, before), VL=0.7, H=0.3)
    # The border falls within a token.
    tops = [[('{"answer": "', 0.0)], [("V", math.log(0.7)), ("H", math.log(0.3))], [('L"}', 0.0)]]
    assert close(label_probabilities(["VL", "H"], before + 'VL"}', tops, before), VL=0.7, H=0.3)


def test_a_token_that_was_drawn_from_below_the_listed_ones() -> None:
    found = label_probabilities(["a", "b"], "zebra", [top(a=0.4, b=0.2)])
    assert close(found, a=2 / 3, b=1 / 3)


def test_the_path_is_found_where_tokens_overlap() -> None:
    # "V" and "VL" are both beginnings of the answer, but only "VL" goes on as it does.
    tops = [[("V", math.log(0.3)), ("VL", math.log(0.6)), ("H", math.log(0.1))], [(".", 0.0)]]
    found = label_probabilities(["VL", "VX", "H"], "VL.", tops)
    assert close(found, VL=0.6 + 0.15, VX=0.15, H=0.1)


def test_nothing_told_gives_nothing() -> None:
    assert label_probabilities([], "L", [top(L=1.0)]) is None
    assert label_probabilities(FIVE, "L", None) is None
    assert label_probabilities(FIVE, "L", []) is None


LABELS = st.lists(st.text("abAB 1", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)
TOKENS = st.lists(
    st.tuples(st.text("abAB 1.", max_size=4), st.floats(-30, 0) | st.just(-math.inf)), max_size=6
)


@given(LABELS, st.text("abAB 1.", max_size=8), st.lists(TOKENS, max_size=5), st.sampled_from(["", '{"a":"']))
def test_any_tokens_give_probabilities_or_nothing(
    labels: list[str], text: str, tops: list[list[tuple[str, float]]], before: str
) -> None:
    found = label_probabilities(labels, before + text, tops, before)
    if found is not None:
        assert list(found) == labels
        assert sum(found.values()) == pytest.approx(1)
        assert all(0 <= value <= 1 + 1e-9 for value in found.values())


@given(st.permutations(["x", "y", "z", "w"]), st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_with_every_label_listed_it_is_the_softmax(labels: list[str], weights: list[float]) -> None:
    p = [weight / sum(weights) for weight in weights]
    tops = [[(label, math.log(value)) for label, value in zip(labels, p, strict=True)]]
    found = label_probabilities(["w", "x", "y", "z"], labels[p.index(max(p))], tops)
    assert close(found, **dict(zip(labels, p, strict=True)))
