"""What is reserved for: the tokens of the rows that are sent, whatever the average row of the data set has."""

from typing import Any

import pytest

from app.datasets.tokens import PER_MESSAGE, estimate_tokens
from app.runs import sent_tokens
from app.runs.sent_tokens import count_tokens

PROMPT, ANSWER, OTHER = "Which salt is left in the flask?", "sodium chloride", "sodium hydroxide, most likely"


def row(prompt: str = PROMPT, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": ANSWER}]
    return {"messages": turns, **more}


def test_texts_and_marks_are_counted() -> None:
    one = estimate_tokens(PROMPT) + estimate_tokens(ANSWER) + 2 * PER_MESSAGE
    assert count_tokens([row()] * 7, 7, False) == 7 * one
    assert count_tokens([], 0, False) == 0


def test_tools_and_calls_are_read_too() -> None:
    tools = [{"type": "function", "function": {"name": "weigh", "description": "Weighs a flask. " * 20}}]
    assert count_tokens([row(tools=tools)], 1, False) > count_tokens([row()], 1, False) + 60


def test_of_pairs_both_answers_are_read_and_single_answers_are_not_sent() -> None:
    pair = row(rejected={"role": "assistant", "content": OTHER})
    texts = (PROMPT, ANSWER, PROMPT, OTHER)
    assert count_tokens([pair, row()], 2, True) == sum(map(estimate_tokens, texts)) + 4 * PER_MESSAGE
    assert count_tokens([pair], 1, False) == count_tokens([row()], 1, False)


def test_a_long_file_is_measured_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(PROMPT * (1 + number % 10)) for number in range(1000)]
    exact = count_tokens(rows, len(rows), False)
    monkeypatch.setattr(sent_tokens, "MEASURED", 70)
    assert count_tokens(rows, len(rows), False) == pytest.approx(exact, rel=0.02)
