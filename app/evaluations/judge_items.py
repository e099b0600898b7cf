"""A judging's items with their answers and marks, a page at a time; and all marks as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.datasets.stored import items_by_number
from app.evaluations.judge_marks import verdicts
from app.evaluations.judge_prompts import PAIR, POINTS
from app.evaluations.judge_service import answers
from app.format import DASH, number
from app.tables import Dataset, JudgeMark, Judging, MarkState, Run

PAGE = 25
SHOW = {
    "all": "all",
    "low": "lowest first",
    "inconsistent": "orders disagree",
    MarkState.UNREADABLE: "unreadable",
    MarkState.FAILED: "failed",
}


@dataclass(frozen=True)
class MarkLine:
    """One item with its answers and marks."""

    number: int
    line: int
    input: str
    expected: str
    answers: tuple[str, ...]
    verdict: str
    replies: tuple[tuple[str, str], ...]
    note: str


def mark_lines(
    session: Session, judging: Judging, show: str, after: int
) -> tuple[list[MarkLine], int | None]:
    """A page of items and the place after which the next begins; None at the end."""
    where: list[Any] = [JudgeMark.judging_id == judging.id]
    grouped = select(JudgeMark.number).group_by(col(JudgeMark.number))
    low = func.min(func.coalesce(JudgeMark.value, 2.0))
    if show in (MarkState.UNREADABLE, MarkState.FAILED):
        where.append(JudgeMark.state == show)
    if show == "inconsistent":
        grouped = grouped.having(func.min(JudgeMark.value) != func.max(JudgeMark.value))
    ordered = (
        grouped.order_by(low, col(JudgeMark.number))
        if show == "low"
        else grouped.order_by(col(JudgeMark.number))
    )
    numbers = list(session.exec(ordered.where(*where).offset(after).limit(PAGE + 1)))
    return list(_lines(session, judging, numbers[:PAGE])), after + PAGE if len(numbers) > PAGE else None


def _lines(session: Session, judging: Judging, numbers: list[int]) -> Iterator[MarkLine]:
    run = session.get_one(Run, judging.run_id)
    items = items_by_number(session, session.get_one(Dataset, run.dataset_id), None, numbers, shown=True)
    own = answers(session, judging.evaluation_id, numbers)
    others = answers(session, judging.other_evaluation_id, numbers) if judging.other_evaluation_id else None
    marks: dict[int, list[JudgeMark]] = {}
    rows = select(JudgeMark).where(JudgeMark.judging_id == judging.id, col(JudgeMark.number).in_(numbers))
    for mark in session.exec(rows.order_by(col(JudgeMark.number), col(JudgeMark.side))):
        marks.setdefault(mark.number, []).append(mark)
    for place in numbers:
        said = [own.get(place), *([others.get(place)] if others is not None else [])]
        found = verdicts(marks[place], judging.scale)
        note = "the two orders contradict each other" if found and not found[0].consistent else ""
        yield MarkLine(
            place,
            items[place].line,
            items[place].input,
            items[place].answer,
            tuple(text if text is not None else "no answer" for text in said),
            verdict_text(found[0].value, judging.scale) if found else DASH,
            tuple((_mark_text(mark, judging.scale), mark.reply or mark.error or "") for mark in marks[place]),
            note,
        )


def verdict_text(value: float, scale: str) -> str:
    """A verdict in the words of its scale."""
    if scale == POINTS:
        return f"{number(10 * value)} of 10"
    if scale == PAIR:
        return {1.0: "A", 0.0: "B"}.get(value, "tie")
    return "right" if value else "wrong"


def _mark_text(mark: JudgeMark, scale: str) -> str:
    shown = ("A first: " if mark.side == 0 else "B first: ") if scale == PAIR else ""
    if mark.state == MarkState.MARKED and mark.value is not None:
        return shown + verdict_text(mark.value, scale)
    return shown + str(mark.state)


def marks_json(session: Session, judging: Judging) -> list[Mapping[str, Any]]:
    """Every mark, by item and order."""
    rows = session.exec(
        select(JudgeMark)
        .where(JudgeMark.judging_id == judging.id)
        .order_by(col(JudgeMark.number), col(JudgeMark.side))
    )
    return [row.model_dump(exclude={"judging_id"}) for row in rows]


def filters(judging: Judging, show: str) -> list[tuple[str, str, bool, None]]:
    """The filters of the items as links."""
    return [
        (label, f"/judgings/{judging.id}?show={name}#items", name == show, None)
        for name, label in SHOW.items()
        if name != "inconsistent" or judging.scale == PAIR
    ]
