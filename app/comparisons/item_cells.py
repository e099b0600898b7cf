"""One item's line and its whole page: answers, words that differ, bars of class probabilities. Pure."""

from dataclasses import dataclass

from app.comparisons.board import milliseconds
from app.comparisons.choice import Choice
from app.comparisons.items import Answer, ComparedItem
from app.comparisons.words import Piece, word_difference
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.run_page import probability_bar
from app.format import percent
from app.shapes import Segment

SHORT = 300


@dataclass(frozen=True)
class AnswerCell:
    """One run's answer for one item; `pieces` are there for texts only."""

    text: str
    correct: bool | None
    bar: tuple[Segment, ...]
    said: str
    pieces: tuple[Piece, ...]
    error: str


@dataclass(frozen=True)
class ItemRow:
    """One item with its answers."""

    number: int
    line: int
    item_id: str
    input: str
    expected: str
    group: str | None
    href: str
    cells: tuple[AnswerCell, ...]


@dataclass(frozen=True)
class Probability:
    """One class of one answer: its bar is `width` of 100 wide."""

    label: str
    percent: str
    width: float
    kind: str


@dataclass(frozen=True)
class WholeAnswer:
    """All that one run said of one item."""

    run: LeaderboardRow
    cell: AnswerCell
    given: str
    read: str
    facts: str
    probabilities: tuple[Probability, ...]


@dataclass(frozen=True)
class WholeItem:
    """One item to read: every message, every answer."""

    row: ItemRow
    messages: tuple[tuple[str, str], ...]
    answers: tuple[WholeAnswer, ...]
    columns: int
    back: str


def item_row(choice: Choice, task: str, compared: ComparedItem) -> ItemRow:
    """The line of the table."""
    item = compared.item
    return ItemRow(
        item.number,
        item.line,
        item.item_id,
        item.input,
        item.answer,
        item.group,
        f"/compare/items/{item.number}?{choice.query(after=choice.after, before=choice.before)}",
        tuple(_cell(answer, item.answer, task, SHORT) for answer in compared.answers),
    )


def whole_item(choice: Choice, task: str, compared: ComparedItem, columns: list[LeaderboardRow]) -> WholeItem:
    """The item's own page."""
    expected = compared.item.answer
    answers = tuple(
        WholeAnswer(
            row,
            _cell(answer, expected, task, 100_000),
            answer.given or "",
            answer.read or "",
            _facts(answer),
            _probabilities(answer, expected),
        )
        for row, answer in zip(columns, compared.answers, strict=True)
        if answer is not None
    )
    messages = tuple((str(m["role"]), str(m.get("content") or "")) for m in compared.item.prompt)
    back = f"/compare?{choice.query(after=choice.after, before=choice.before)}#items"
    return WholeItem(item_row(choice, task, compared), messages, answers, len(columns) + 3, back)


def _cell(answer: Answer | None, expected: str, task: str, longest: int) -> AnswerCell:
    if answer is None:
        return AnswerCell("not answered", None, (), "", (), "")
    bar, said = probability_bar(answer.probabilities, expected, answer.read)
    text = answer.read if answer.read is not None else answer.given or "no answer"
    pieces = () if task != "text" or answer.correct else word_difference(expected[:longest], text[:longest])
    return AnswerCell(text[:longest], answer.correct, bar, said, pieces, answer.error or "")


def _facts(answer: Answer) -> str:
    said = []
    if answer.logprob is not None:
        said.append(f"log-probability {answer.logprob:.4g}")
    if answer.latency_ms is not None:
        said.append(milliseconds(answer.latency_ms))
    if answer.tokens is not None:
        said.append(f"{answer.tokens:,} tokens")
    return ", ".join(said)


def _probabilities(answer: Answer, expected: str) -> tuple[Probability, ...]:
    return tuple(
        Probability(
            label,
            percent(p),
            round(100 * min(max(p, 0.0), 1.0), 2),
            "expected" if label == expected else "wrong" if label == answer.read else "other",
        )
        for label, p in sorted(answer.probabilities, key=lambda pair: -pair[1])
    )
