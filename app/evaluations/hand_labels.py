"""Labels given by hand, blind to the model and to the judge: which item comes next, and how they are stored."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from app.clock import now
from app.datasets.stored import items_by_number
from app.errors import Invalid
from app.evaluations.judge_prompts import PAIR
from app.evaluations.judge_service import answers
from app.lab.actor import Actor, require_member
from app.tables import Dataset, HandLabel, JudgeMark, Judging, Member, Run

# A first stop: kappa's interval is about ±0.2 wide there for a judge that is often right.
ENOUGH = 50
# What the keys 1, 2 and 0 mean.
CHOICES = {
    "single": {"1": "Right", "2": "Wrong", "0": "Cannot say"},
    PAIR: {"1": "The first", "2": "The second", "0": "Equally good"},
}


@dataclass(frozen=True)
class BlindItem:
    """One item to label: the question, the reference, and one answer or two, whoever wrote them."""

    number: int
    line: int
    input: str
    expected: str
    answers: tuple[str, ...]


def sheet(judging: Judging) -> str:
    """The answers that are labelled, whichever judge marked them."""
    return f"{judging.evaluation_id}" + (
        f"-{judging.other_evaluation_id}" if judging.other_evaluation_id else ""
    )


def order(judging: Judging, numbers: Sequence[int]) -> list[int]:
    """The judged items in the order of labelling: drawn by a seed, the same for every member."""
    drawn = sorted(numbers)
    random.Random(f"labels of {sheet(judging)}").shuffle(drawn)
    return drawn


def swapped(judging: Judging, number: int) -> bool:
    """Whether the other run's answer is shown first, so that the place says nothing."""
    if judging.scale != PAIR:
        return False
    return bool(hashlib.sha256(f"{sheet(judging)} {number}".encode()).digest()[0] & 1)


def judged_numbers(session: Session, judging: Judging) -> list[int]:
    """The items of the judging."""
    return list(session.exec(select(JudgeMark.number).where(JudgeMark.judging_id == judging.id).distinct()))


def next_item(session: Session, actor: Actor, judging: Judging, at: int | None = None) -> BlindItem | None:
    """The first item that the member has not labelled, or item number `at` again; None when all are."""
    numbers = judged_numbers(session, judging)
    if at is None:
        done = set(labels_of(session, judging).get(actor.member_id, {}))
        at = next((number for number in order(judging, numbers) if number not in done), None)
    if at is None or at not in numbers:
        return None
    run = session.get_one(Run, judging.run_id)
    item = items_by_number(session, session.get_one(Dataset, run.dataset_id), None, [at])[at]
    shown = [answers(session, judging.evaluation_id, [at]).get(at) or "(no answer)"]
    if judging.other_evaluation_id:
        shown.append(answers(session, judging.other_evaluation_id, [at]).get(at) or "(no answer)")
        if swapped(judging, at):
            shown.reverse()
    return BlindItem(at, item.line, item.input, item.answer, tuple(shown))


def store_label(session: Session, actor: Actor, judging: Judging, number: int, choice: str) -> None:
    """Stores 1, 2 or 0 in the place of what the member said before; raises Invalid for anything else."""
    require_member(actor, "label answers")
    if choice not in CHOICES[PAIR] or number not in judged_numbers(session, judging):
        raise Invalid("This label cannot be stored.", "Answer 1, 2 or 0 for an item of this judging.")
    value: float | None = {"1": 1.0, "2": 0.0}.get(choice)
    if judging.scale == PAIR:
        value = 0.5 if value is None else 1 - value if swapped(judging, number) else value
    session.execute(
        delete(HandLabel).where(
            col(HandLabel.sheet) == sheet(judging),
            col(HandLabel.member_id) == actor.member_id,
            col(HandLabel.number) == number,
        )
    )
    session.add(
        HandLabel(
            sheet=sheet(judging),
            member_id=actor.member_id,
            number=number,
            project_id=actor.project_id,
            value=value,
            created_at=now(),
        )
    )
    session.flush()


def labels_of(session: Session, judging: Judging) -> dict[int, dict[int, float | None]]:
    """{member: {item number: label}} of everybody in the judging's project."""
    rows = session.exec(
        select(HandLabel.member_id, HandLabel.number, HandLabel.value).where(
            HandLabel.sheet == sheet(judging), HandLabel.project_id == judging.project_id
        )
    )
    found: dict[int, dict[int, float | None]] = {}
    for member, number, value in rows:
        found.setdefault(member, {})[number] = value
    return found


def names(session: Session, members: Sequence[int]) -> dict[int, str]:
    """{member: name}."""
    rows = session.exec(select(Member.id, Member.name).where(col(Member.id).in_(members)))
    return {member or 0: name for member, name in rows}


def labelled(session: Session, actor: Actor, judging: Judging) -> int:
    """How many of the judging's items the member has labelled."""
    inside = select(JudgeMark.number).where(JudgeMark.judging_id == judging.id)
    return session.exec(
        select(func.count())
        .select_from(HandLabel)
        .where(
            HandLabel.sheet == sheet(judging),
            HandLabel.member_id == actor.member_id,
            col(HandLabel.number).in_(inside),
        )
    ).one()
