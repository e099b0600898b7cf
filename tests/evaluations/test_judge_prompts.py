"""What a judge is asked, and how strictly its reply is read."""

import pytest

from app.evaluations.judge_prompts import SCALES, fill, prompt_sha256, read_mark, wrong_with


@pytest.mark.parametrize(
    ("reply", "scale", "value"),
    [
        ("Good.\nMARK: 7", "points", 0.7),
        ("MARK: 0", "points", 0.0),
        ("MARK:10\n\n", "points", 1.0),
        ("So.\n  **MARK: 3**", "points", 0.3),
        ("x\nMARK: right.", "right", 1.0),
        ("x\nMARK: Wrong", "right", 0.0),
        ("MARK: 1", "pair", 1.0),
        ("MARK: 2", "pair", 0.0),
        ("MARK: TIE", "pair", 0.5),
        ("MARK: 9\nMARK: 2", "points", 0.2),
    ],
)
def test_marks_that_are_read(reply: str, scale: str, value: float) -> None:
    assert read_mark(reply, scale) == value


@pytest.mark.parametrize(
    ("reply", "scale"),
    [
        ("", "points"),
        ("   \n ", "points"),
        ("MARK: 11", "points"),
        ("MARK: -1", "points"),
        ("MARK: 7.5", "points"),
        ("MARK: 7/10", "points"),
        ("MARK: seven", "points"),
        ("MARK: 7\nBut I may be wrong.", "points"),
        ("I would say MARK: 7", "points"),
        ("7", "points"),
        ("MARK: 1", "right"),
        ("MARK: right", "points"),
        ("MARK: 3", "pair"),
        ("MARK: 1 2", "pair"),
        ("mark: 7", "points"),
    ],
)
def test_replies_that_are_not_as_asked_have_no_mark(reply: str, scale: str) -> None:
    assert read_mark(reply, scale) is None


def test_what_is_put_in_is_never_looked_at_again() -> None:
    said = fill(
        "Q {input} A {answer} {other} {0} {{x}}", {"input": "{answer}", "answer": "{input} {expected}"}
    )
    assert said == "Q {answer} A {input} {expected} {other} {0} {{x}}"


@pytest.mark.parametrize("scale", SCALES)
def test_own_prompts_can_be_used_and_say_their_marks(scale: str) -> None:
    kind = SCALES[scale]
    assert wrong_with(kind.prompt, scale) == ""
    for word, value in kind.marks.items():
        assert read_mark(f"reason\nMARK: {word}", scale) == value


@pytest.mark.parametrize(
    ("prompt", "scale", "told"),
    [
        ("MARK: {input}", "points", "{answer}"),
        ("{answer} only", "points", "MARK:"),
        ("{answer_1} MARK:", "pair", "{answer_2}"),
        ("{answer} MARK: " + "x" * 20_000, "right", "20,000"),
    ],
)
def test_prompts_that_cannot_work_are_refused(prompt: str, scale: str, told: str) -> None:
    assert told in wrong_with(prompt, scale)


def test_hash_is_of_the_text() -> None:
    assert prompt_sha256("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
