"""Numbers, lists and JSON as people and models write them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.evaluations.notation import find_number, join_list, parse_json, split_list, write_json


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234.5", 1234.5), ("-3e-4", -3e-4), ("3.2 mol", 3.2), ("−5", -5), ("–5 °C", -5), ("+7", 7), (".5", 0.5),
     ("42.", 42), ("The answer is 42.", 42), ("1,5", 1.5), ("12,345,678", 12345678), ("5%", 5), ("$5", 5),
     ("x = -3", -3), ("10-5", 10), ("3 × 10⁻⁴ M", 3e-4), ("3x10^-4", 3e-4), ("2.5 · 10^3", 2500), ("5 x 10 cm", 5),
     ("5 * 100", 5), ("2e3 and 4", 2000), ("1 or 2", 1), ("1, 2, 3", 1), ("pH 7.2", 7.2), ("6.02e23", 6.02e23)],
)  # fmt: skip
def test_the_first_number_is_found(text: str, number: float) -> None:
    assert float(find_number(text) or "nan") == pytest.approx(number)


@pytest.mark.parametrize(
    "text", ["", "none", "C12H22O11", "v1.2.3", "nan", "inf", "1e999", "9" * 500, "-", "e5"]
)
def test_text_without_a_usable_number(text: str) -> None:
    assert find_number(text) is None


@given(st.floats(-1e200, 1e200))
@settings(max_examples=150, deadline=None)
def test_every_number_that_python_writes_is_read_back(number: float) -> None:
    for text in (repr(number), f"{number:e}", f"about {number:,.3f} g"):
        wanted = float(text.replace("about ", "").replace(" g", "").replace(",", ""))
        assert float(find_number(text) or "nan") == wanted


@given(st.text())
@settings(max_examples=150, deadline=None)
def test_what_is_found_is_a_finite_number(text: str) -> None:
    found = find_number(text)
    assert found is None or math.isfinite(float(found))


def test_lists() -> None:
    assert split_list("a, b;c\n d") == ["a", "b", "c", "d"]
    assert split_list('["a,b", "c", 3, 3.0]') == ["a,b", "c", "3"]
    assert split_list("1. one\n2) two\n- three\n• four") == ["one", "two", "three", "four"]
    assert split_list(" , ;\n") == []
    assert join_list(["a", "b"]) == "a, b"
    assert join_list(["a,b", "c"]) == '["a,b", "c"]'


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), unique=True, max_size=5))
@settings(max_examples=150, deadline=None)
def test_a_list_that_is_written_is_read_back(elements: list[str]) -> None:
    assert split_list(join_list(elements)) == elements


def test_json() -> None:
    assert parse_json('```json\n{"a": 1}\n```') == (True, {"a": 1})
    assert write_json({"b": 1.0, "a": [True, 2.5]}) == '{"a": [true, 2.5], "b": 1}'
    for text in (
        "",
        "{",
        "{'a': 1}",
        "NaN",
        "[" * 200_000,
        '"\\ud800"',
        "\ud800",
        "1e999",
        '{"a": 1} {"b": 2}',
    ):
        assert parse_json(text) == (False, None)


def test_numbers_of_json_are_equal_whatever_their_spelling() -> None:
    spellings = ["100", "100.0", "1e2", "1.0E+2"]
    assert {write_json(parse_json(text)[1]) for text in spellings} == {"100"}
