"""How answers are read and judged, and which rules are refused."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.evaluations.answers import (
    MAX_ALIASES,
    Rules,
    default_rules,
    describe,
    is_correct,
    read_answer,
    read_answers,
    read_expected,
)

LABELS = ["VL", "L", "U", "M", "H"]
TASKS = ("classification", "number", "list", "json", "text")


def label(text: str, **rules) -> str | None:
    """The answer read as a label."""
    return read_answer(text, Rules(**rules), "classification", LABELS)


def right(text: str, expected: str, task: str, **rules) -> bool:
    """Whether an answer counts as right, from its text to the verdict."""
    own = Rules(**rules)
    return is_correct(read_answer(text, own, task, LABELS), expected, own, task)


def test_labels_are_stripped_and_otherwise_exact() -> None:
    assert label(" VL\n") == "VL"
    assert label(" VL\n", strip=False) == " VL\n"
    assert label("vl") == "vl"
    assert not right("vl", "VL", "classification")


def test_without_case_an_answer_takes_the_labels_own_spelling() -> None:
    assert label("vl", ignore_case=True) == "VL"
    assert right("vl", "VL", "classification", ignore_case=True)


def test_a_spelling_that_fits_two_labels_means_neither() -> None:
    rules = Rules(ignore_case=True)
    assert read_answer("A", rules, "classification", ["a", "A"]) == "a"
    assert read_answer("A", Rules(), "classification", ["a", "A"]) == "A"


def test_what_is_no_label_stays_to_be_seen_and_is_wrong() -> None:
    assert label("very low") == "very low"
    assert not right("very low", "VL", "classification")


def test_aliases_come_last() -> None:
    assert label(" v ", ignore_case=True, aliases={"V": "VL"}) == "VL"
    assert label("Answer: V", pattern=r"Answer: (\w+)", aliases={"V": "VL"}) == "VL"
    assert label("V", aliases={"V": "L", "L": "H"}) == "L"
    assert label("v", aliases={"V": "VL"}) == "v"


def test_an_alias_may_join_two_classes() -> None:
    assert right("M", "H", "classification", aliases={"H": "M"})
    assert right("H", "M", "classification", aliases={"H": "M"})


def test_the_pattern_finds_the_answer_in_the_text() -> None:
    pattern = r"(?i)answer:\s*(\w+)"
    assert label("Let me think.\nANSWER: VL, surely", pattern=pattern) == "VL"
    assert label("I cannot say", pattern=pattern) is None
    assert label("x VL", pattern=r"[VLUMH]+$") == "VL"
    assert label("b", pattern=r"(a)|(b)") == "b"
    assert label("VL ", pattern=r"^VL$") == "VL"


def test_the_expected_answer_is_read_in_the_same_way_or_stays() -> None:
    rules = Rules(pattern=r"#### (\S+)")
    assert read_expected("long story #### 42", rules, "number", []) == "42"
    assert read_expected("42", rules, "number", []) == "42"
    assert is_correct(read_answer("so #### 42", rules, "number", []), "long story #### 42", rules, "number")
    assert read_expected("none", Rules(), "number", []) == "none"


@pytest.mark.parametrize(
    ("text", "expected", "verdict"),
    [("1,234.5", "1234.5", True), ("1.2345e3", "1234.5", True), ("1234.6", "1234.5", False), ("-3", "3", False),
     ("three", "3", False), ("3.2 mol", "3.2 mol/L", True), ("−0", "0", True), ("0.30000000000000004", "0.3", True)],
)  # fmt: skip
def test_numbers_without_tolerance(text: str, expected: str, verdict: bool) -> None:
    assert right(text, expected, "number") is verdict


def test_numbers_with_tolerance_count_to_the_very_end_of_it() -> None:
    assert right("1.05", "1", "number", relative_tolerance=0.05)
    assert not right("1.06", "1", "number", relative_tolerance=0.05)
    assert right("-95", "-100", "number", relative_tolerance=0.05)
    assert right("0.1", "0", "number", absolute_tolerance=0.1)
    assert not right("0.1", "0", "number", relative_tolerance=0.5)
    assert right("1.2", "1", "number", absolute_tolerance=0.2, relative_tolerance=0.05)
    assert right("104", "100", "number", **default_rules("number").to_json())


@pytest.mark.parametrize(
    ("text", "expected", "verdict"),
    [("b, a", "a, b", True), ('["a", "b"]', "a;b", True), ("- a\n- b", "b\na", True), ("a, a", "a", True),
     ("a", "a, b", False), ("", "", True), ("[]", "", True), ("A, b", "a, b", False), ("a|b", "b|a", True)],
)  # fmt: skip
def test_lists_are_sets(text: str, expected: str, verdict: bool) -> None:
    assert right(text, expected, "list") is verdict


def test_rules_hold_for_each_element_of_a_list() -> None:
    assert right("A, water", "h2o; a", "list", ignore_case=True, aliases={"Water": "H2O"})
    assert read_answer("x, y, X", Rules(ignore_case=True), "list", []) == "x, y"


@pytest.mark.parametrize(
    ("text", "expected", "verdict"),
    [('{"b": 1.0, "a": [1]}', '{"a":[1],"b":1}', True), ('```json\n{"a": 1}\n```', '{"a": 1}', True),
     ('{"a": [1, 2]}', '{"a": [2, 1]}', False), ('{"a": true}', '{"a": 1}', False), ("{'a': 1}", '{"a": 1}', False),
     ('{"a": "X"}', '{"a": "x"}', False), ("oops", "oops", True)],
)  # fmt: skip
def test_json_is_compared_by_content(text: str, expected: str, verdict: bool) -> None:
    assert right(text, expected, "json") is verdict


def test_json_without_case() -> None:
    assert right('{"B": "X", "a": 1}', '{"A": 1, "b": "x"}', "json", ignore_case=True)


def test_what_is_no_json_stays_to_be_seen() -> None:
    assert read_answer(" {oops ", Rules(), "json", []) == "{oops"


def test_text_is_compared_as_it_is_read() -> None:
    assert right(" An answer. ", "An answer.", "text")
    assert not right("an answer.", "An answer.", "text")
    assert right("an answer.", "An answer.", "text", ignore_case=True)


def test_no_answer_is_wrong() -> None:
    assert read_answers(["VL", None], Rules(), "classification", LABELS) == ["VL", None]
    assert all(is_correct(None, "", Rules(), task) is False for task in TASKS)


@given(st.text(), st.sampled_from(TASKS), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_expected_answer_itself_is_right_and_can_be_stored(text, task, strip, ignore_case) -> None:
    rules = Rules(strip=strip, ignore_case=ignore_case)
    read = read_answer(text, rules, task, LABELS)
    if read is not None:
        assert is_correct(read, text, rules, task)
        assert "\0" not in read
        read.encode()


def test_json_escapes_bring_no_nul_into_a_list() -> None:
    assert read_answer('["a\\u0000"]', Rules(), "list", []) == "a␀"


# Each of these takes exponential time in a backtracking engine.
@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_pattern_hangs_the_server(pattern: str) -> None:
    rules = Rules.from_json({"pattern": pattern})
    started = time.perf_counter()
    read_answer("a" * 20_000 + "!", rules, "text", [])
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(((((a{500}){500}){500}){500}){500})"])
def test_a_pattern_that_would_fill_the_memory_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        Rules.from_json({"pattern": pattern})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stripp": True}, "there is no rule 'stripp'"),
        ({"strip": "yes"}, "strip must be true or false"),
        ({"ignore_case": 1}, "ignore_case must be true or false"),
        ({"aliases": ["V"]}, "aliases must map text to text"),
        ({"aliases": {"V": 1}}, "aliases must map text to text"),
        ({"aliases": {"": "VL"}}, "nothing before"),
        ({"aliases": {str(i): "x" for i in range(MAX_ALIASES + 1)}}, "too many"),
        ({"pattern": 3}, "pattern must be text"),
        ({"pattern": "("}, "no regular expression that RE2 takes: missing \\)"),
        ({"pattern": r"(?=a)"}, "no regular expression"),
        ({"pattern": "\ud800"}, "no regular expression"),
        ({"pattern": "x" * 501}, "at most 500"),
        ({"absolute_tolerance": -1}, "absolute_tolerance must be a number from 0 up"),
        ({"relative_tolerance": "5 %"}, "relative_tolerance must be a number"),
        ({"relative_tolerance": float("nan")}, "relative_tolerance must be a number"),
        ({"relative_tolerance": float("inf")}, "relative_tolerance must be a number"),
        ({"relative_tolerance": True}, "relative_tolerance must be a number"),
        ([], "must be an object"),
        (None, "must be an object"),
    ],
)
def test_rules_that_cannot_be_used_say_why(values, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        Rules.from_json(values)
    assert str(refused.value).endswith(".")


def test_rules_survive_being_stored() -> None:
    rules = Rules(False, True, {"V": "VL"}, r"(\w+)", 0.5, 0.01)
    assert Rules.from_json(rules.to_json()) == rules
    assert Rules.from_json({}) == Rules()
    assert Rules.from_json({"absolute_tolerance": 1}).absolute_tolerance == 1.0
    assert all(Rules.from_json(default_rules(task).to_json()) == default_rules(task) for task in TASKS)


def test_rules_are_told_in_plain_sentences() -> None:
    assert describe(Rules(strip=False)) == ["Answers count exactly as they are given."]
    rules = Rules(True, True, {"V": "VL"}, r"(\w+)$", 0.1, 0.05)
    assert describe(rules) == [
        r"The answer is what the regular expression (\w+)$ finds; nothing found is no answer.",
        "Blanks before and after the answer do not count.",
        "Upper and lower case count the same.",
        "“V” means “VL”.",
        "A number is right when it is at most 0.1 or 5 % of the expected number away.",
    ]
