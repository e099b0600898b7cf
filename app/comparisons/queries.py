"""Reads several evaluations over the same items, side by side. Items align by identity, never by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_
from sqlalchemy.orm import aliased, join
from sqlmodel import Session, col, select

from app.comparisons.sentence import plain_sentence
from app.datasets.stored import StoredItem, items_by_number
from app.errors import Invalid, NotFound
from app.evaluations.leaderboard import LeaderboardRow, leaderboard
from app.lab.actor import Actor
from app.statistics import mcnemar_exact, paired_difference, smallest_difference
from app.tables import Dataset, Prediction, Reading, Run, Split

PAGE = 25
MAX_RUNS = 20
FILTERS = {
    "all": "all items",
    "disagree": "answers differ",
    "all_wrong": "all wrong",
    "only_a": "only A right",
    "only_b": "only B right",
    "both": "both right",
    "neither": "both wrong",
}


@dataclass(frozen=True)
class Pair:
    """Two runs on the items that both answered: the 2×2 counts and what they allow to say."""

    a: LeaderboardRow
    b: LeaderboardRow
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    low: float
    high: float
    p: float
    smallest: float
    sentence: str

    @property
    def items(self) -> int:
        """How many items both answered."""
        return self.both + self.only_a + self.only_b + self.neither


@dataclass(frozen=True)
class Answer:
    """What one run answered for one item."""

    read: str | None
    given: str | None
    correct: bool
    probabilities: list[tuple[str, float]]


@dataclass(frozen=True)
class ComparedItem:
    """One line of the table: the item once, an answer per run (None where a run has none)."""

    item: StoredItem
    answers: list[Answer | None]


@dataclass(frozen=True)
class Comparison:
    """Everything the compare page shows."""

    rows: list[LeaderboardRow]
    dataset: Dataset
    split: Split
    shared: int
    pair: Pair | None
    show: str
    items: list[ComparedItem]
    matching: int
    next_after: int | None


def compare(
    session: Session,
    actor: Actor,
    run_ids: Sequence[int],
    *,
    a: int | None = None,
    b: int | None = None,
    show: str = "all",
    after: int = -1,
) -> Comparison:
    """Compares runs by id; `a` and `b` choose the pair (default: the two best), `show` one of FILTERS.

    Raises NotFound for runs that are not there or not scored, Invalid for runs on different data.
    """
    rows, dataset, split = compared_runs(session, actor, run_ids)
    by_id = {row.run_id: row for row in rows}
    first, second = by_id.get(a or 0, rows[0]), by_id.get(b or 0)
    if second is None or second is first:
        second = next((row for row in rows if row is not first), None)
    pair = _pair(session, first, second) if second else None
    if show not in FILTERS or (pair is None and show not in ("all", "disagree", "all_wrong")):
        raise Invalid(f"There is no filter {show!r}.", f"Choose one of {', '.join(FILTERS)}.")
    condition = _condition(rows, pair, show)
    numbers = session.exec(
        select(condition.number)
        .select_from(condition.source)
        .where(condition.where, condition.number > after)
        .order_by(condition.number)
        .limit(PAGE + 1)
    ).all()
    matching = session.exec(select(func.count()).select_from(condition.source).where(condition.where)).one()
    shared_where = _condition(rows, pair, "all")
    shared = (
        matching
        if show == "all"
        else session.exec(
            select(func.count()).select_from(shared_where.source).where(shared_where.where)
        ).one()
    )
    items = compared_items(session, rows, dataset, split, numbers[:PAGE])
    more = numbers[PAGE - 1] if len(numbers) > PAGE else None
    return Comparison(rows, dataset, split, shared, pair, show, items, matching, more)


def compared_runs(
    session: Session, actor: Actor, run_ids: Sequence[int]
) -> tuple[list[LeaderboardRow], Dataset, Split]:
    """The scored runs among `run_ids`, best first, with the data they share."""
    wanted = list(dict.fromkeys(run_ids))
    if not wanted:
        raise Invalid("No run is chosen.", "Tick at least one run on an experiment's page, then compare.")
    if len(wanted) > MAX_RUNS:
        raise Invalid(f"{len(wanted)} runs are too many for one table.", f"Choose at most {MAX_RUNS}.")
    found = leaderboard(session, actor, [col(Run.id).in_(wanted)])
    absent = set(wanted) - {row.run_id for row in found}
    if absent:
        raise NotFound(f"There is no run {min(absent)} here.", "Choose the runs again.")
    rows = [row for row in found if row.scoring_id is not None]
    if not rows:
        raise NotFound("None of these runs has predictions yet.", "Compare them when they are done.")
    runs = [session.get_one(Run, row.run_id) for row in rows]
    if len({run.dataset_id for run in runs}) > 1:
        raise Invalid("These runs are on different datasets.", "Compare runs that predicted the same items.")
    return rows, session.get_one(Dataset, runs[0].dataset_id), session.get_one(Split, runs[0].split_id)


@dataclass(frozen=True)
class _Joined:
    source: Any
    number: Any
    where: Any


def _condition(rows: Sequence[LeaderboardRow], pair: Pair | None, show: str) -> _Joined:
    """The readings of all runs joined by item, and the filter over them."""
    tables: dict[int, Any] = {row.run_id: aliased(Reading) for row in rows}
    ordered = list(tables.values())
    first = ordered[0]
    source: Any = first
    where: list[Any] = [first.scoring_id == rows[0].scoring_id]
    for row, table in zip(rows[1:], ordered[1:], strict=True):
        source = join(source, table, and_(table.number == first.number, table.scoring_id == row.scoring_id))
    if show == "disagree":
        where.append(or_(False, *(_differs(first, table) for table in ordered[1:])))
    elif show == "all_wrong":
        where += [table.correct.is_(False) for table in ordered]
    elif pair and show != "all":
        right_a, right_b = tables[pair.a.run_id].correct, tables[pair.b.run_id].correct
        wanted = {
            "only_a": (True, False),
            "only_b": (False, True),
            "both": (True, True),
            "neither": (False, False),
        }
        where += [right_a.is_(wanted[show][0]), right_b.is_(wanted[show][1])]
    return _Joined(source, first.number, and_(*where))


def _differs(one: Any, other: Any) -> Any:
    return func.coalesce(one.answer_read, "\x01") != func.coalesce(other.answer_read, "\x01")


def _pair(session: Session, a: LeaderboardRow, b: LeaderboardRow) -> Pair:
    one: Any = aliased(Reading)
    two: Any = aliased(Reading)
    counted = session.exec(
        select(one.correct, two.correct, func.count())
        .where(one.scoring_id == a.scoring_id, two.scoring_id == b.scoring_id, one.number == two.number)
        .group_by(one.correct, two.correct)
    )
    counts = {(bool(right_a), bool(right_b)): n for right_a, right_b, n in counted}
    both, only_a = counts.get((True, True), 0), counts.get((True, False), 0)
    only_b, neither = counts.get((False, True), 0), counts.get((False, False), 0)
    total = both + only_a + only_b + neither
    if not total:
        return Pair(a, b, 0, 0, 0, 0, 0.0, -1.0, 1.0, 1.0, 1.0, "These two runs share no items.")
    difference, low, high = paired_difference(both, only_a, only_b, neither)
    return Pair(
        a,
        b,
        both,
        only_a,
        only_b,
        neither,
        difference,
        low,
        high,
        mcnemar_exact(only_a, only_b),
        smallest_difference(total, (only_a + only_b) / total),
        plain_sentence(a.name, b.name, both, only_a, only_b, neither),
    )


def compared_items(
    session: Session, rows: Sequence[LeaderboardRow], dataset: Dataset, split: Split, numbers: Sequence[int]
) -> list[ComparedItem]:
    """The items with every run's answer, in the order of `numbers`."""
    items = items_by_number(session, dataset, split, numbers)
    columns = [_answers(session, row, numbers, dataset.labels) for row in rows]
    return [ComparedItem(items[number], [column.get(number) for column in columns]) for number in numbers]


def _answers(
    session: Session, row: LeaderboardRow, numbers: Sequence[int], labels: list[str]
) -> dict[int, Answer]:
    found = session.exec(
        select(
            Prediction.number,
            Prediction.answer,
            Prediction.probabilities,
            Reading.answer_read,
            Reading.correct,
        ).where(
            Prediction.evaluation_id == row.evaluation_id,
            Reading.scoring_id == row.scoring_id,
            Reading.number == Prediction.number,
            col(Prediction.number).in_(numbers),
        )
    )
    return {
        number: Answer(read, given, correct, list(zip(labels, probabilities or [], strict=False)))
        for number, given, probabilities, read, correct in found
    }
