"""Reads marks: the verdict of each item, and the judging that a run's judge score is made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from app.evaluations.judge_prompts import PAIR
from app.metrics import Sample
from app.tables import JudgeMark, Judging, JudgingState, MarkState


@dataclass(frozen=True)
class Verdict:
    """What the judge said of one item: 0 to 1, for a pair 1 where the run's own answer won and 0.5 for a tie.
    `consistent` is False where the two orders of a pair contradict each other, which counts as a tie."""

    number: int
    value: float
    consistent: bool = True


def verdicts(marks: Iterable[JudgeMark], scale: str) -> list[Verdict]:
    """One for each item whose marks are all readable, by item number.

    Asking both orders, and taking disagreement for a tie: Zheng L et al. (2023), arXiv:2306.05685, section 3.4.
    """
    found: dict[int, list[float]] = {}
    for mark in marks:
        if mark.state == MarkState.MARKED and mark.value is not None:
            found.setdefault(mark.number, []).append(mark.value)
    if scale != PAIR:
        return [Verdict(number, values[0]) for number, values in sorted(found.items())]
    pairs = ((number, values) for number, values in sorted(found.items()) if len(values) == 2)
    return [Verdict(number, one if one == two else 0.5, one == two) for number, (one, two) in pairs]


def newest_judging(session: Session, evaluation_id: int) -> Judging | None:
    """The newest finished judging of one run's answers, which its judge score is made of."""
    return session.exec(
        select(Judging)
        .where(
            Judging.evaluation_id == evaluation_id,
            Judging.scale != PAIR,
            Judging.state == JudgingState.DONE,
        )
        .order_by(col(Judging.id).desc())
        .limit(1)
    ).first()


def newest_marks(session: Session, evaluation_id: int) -> tuple[dict[int, float], str]:
    """({item number: mark}, model and prompt of the judge) of that judging; ({}, "") without one."""
    judging = newest_judging(session, evaluation_id)
    if judging is None:
        return {}, ""
    marks = session.exec(select(JudgeMark).where(JudgeMark.judging_id == judging.id))
    name = f"{judging.model} {judging.scale} {judging.prompt_sha256}"
    return {verdict.number: verdict.value for verdict in verdicts(marks, judging.scale)}, name


def with_marks(session: Session, sample: Sample, evaluation_id: int, numbers: Sequence[int]) -> Sample:
    """The sample with the marks of the newest judging of its answers, if there is one."""
    marks, judge = newest_marks(session, evaluation_id)
    return replace(sample, marks=[marks.get(number) for number in numbers], judge=judge) if marks else sample
