"""Reads several evaluations over the same items, side by side. Items align by identity, never by position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from app.comparisons.against import AllAgainst, all_against
from app.comparisons.aligned import align, page_of, shown
from app.comparisons.choice import OF_A_PAIR, Choice
from app.comparisons.items import ComparedItem, compared_items
from app.comparisons.narrow import narrowed
from app.comparisons.outcomes import read_outcomes
from app.comparisons.pair import Pair, compare_pair
from app.comparisons.sides import model_of
from app.errors import Invalid, NotFound
from app.evaluations.leaderboard import MOST_COMPARED, LeaderboardRow, leaderboard
from app.lab.actor import Actor
from app.runs.lock import check_unlocked
from app.tables import Dataset, Run, RunState, Split

PAGE = 25
MAJORITY = "baseline/majority"


@dataclass(frozen=True)
class Chosen:
    """The scored runs of a choice, best first; `kept` are run ids that nobody chose: the majority and the best
    classical baseline of the same experiments. `splits` are those of the runs by run id, `split` that of the best."""

    rows: list[LeaderboardRow]
    kept: frozenset[int]
    dataset: Dataset
    split: Split
    splits: dict[int, Split]

    @property
    def picked(self) -> list[LeaderboardRow]:
        """The runs that were chosen by hand."""
        return [row for row in self.rows if row.run_id not in self.kept]


@dataclass(frozen=True)
class Comparison:
    """Everything the compare page shows. `columns` are the runs whose answers stand beside the items; `above` and
    `below` are the places of the neighbouring pages (-1: none)."""

    choice: Choice
    chosen: Chosen
    columns: list[LeaderboardRow]
    shared: int
    pair: Pair | None
    against: AllAgainst | None
    items: list[ComparedItem]
    matching: int
    above: int
    below: int


def compare(session: Session, actor: Actor, choice: Choice) -> Comparison:
    """Compares the chosen runs (the pair defaults to the best one and the best of another model).

    Raises NotFound for runs that are not there or not scored, Invalid for runs on different data and where no item
    is unseen.
    """
    chosen = choose(session, actor, choice)
    first, second = _pair_of(chosen, choice)
    if second is None and choice.show in OF_A_PAIR:
        raise Invalid(f"The filter {choice.show!r} needs two runs.", "Choose another run, or show all items.")
    pair_rows = [first] if second is None else [first, second]
    columns = chosen.picked + [row for row in pair_rows if row.run_id in chosen.kept]
    packed = read_outcomes(session, chosen.rows, chosen.splits, choice.subset)
    if choice.subset == "unseen" and not any(len(one.numbers) for one in packed.values()):
        raise Invalid("Every test item of these runs stands in train too.", "Look at all items.")
    pair = against = None
    if second is not None:
        of_both = packed[first.run_id], packed[second.run_id]
        pair = compare_pair(first, second, *of_both, chosen.splits[first.run_id])
        against = all_against(second, chosen.rows, packed, chosen.splits)
    aligned = align([packed[row.run_id] for row in columns])
    places = [columns.index(row) for row in pair_rows]
    numbers = aligned.numbers[shown(aligned, choice.show, places[0], places[-1])]
    evaluations = [row.evaluation_id or 0 for row in columns]
    numbers = narrowed(session, chosen.dataset, chosen.split, choice, evaluations, numbers)
    page, above, below = page_of(numbers, choice.after, choice.before, PAGE)
    items = compared_items(session, columns, chosen.dataset, chosen.split, page)
    shared = len(aligned.numbers)
    return Comparison(choice, chosen, columns, shared, pair, against, items, len(numbers), above, below)


def _pair_of(chosen: Chosen, choice: Choice) -> tuple[LeaderboardRow, LeaderboardRow | None]:
    """A and B: as asked, else the best run chosen by hand and the best one of another model."""
    by_id = {row.run_id: row for row in chosen.rows}
    candidates = chosen.picked + [row for row in chosen.rows if row.run_id in chosen.kept]
    first, second = by_id.get(choice.a or 0), by_id.get(choice.b or 0)
    first = first or next((row for row in candidates if row is not second), candidates[0])
    if second is None or second is first:
        others = [row for row in candidates if row is not first]
        second = next((row for row in others if model_of(row) != model_of(first)), next(iter(others), None))
    return first, second


def compared_runs(
    session: Session, actor: Actor, run_ids: Sequence[int]
) -> tuple[list[LeaderboardRow], Dataset, Split]:
    """The scored runs among `run_ids`, best first, with the data they share."""
    chosen = choose(session, actor, Choice(tuple(run_ids)))
    return chosen.picked, chosen.dataset, chosen.split


def choose(session: Session, actor: Actor, choice: Choice, most: int = MOST_COMPARED) -> Chosen:
    """The chosen runs, and the baselines that stay beside them unless `without` names them. `most`: how many runs
    are taken."""
    wanted = list(dict.fromkeys(choice.runs))
    if not wanted:
        raise Invalid("No run is chosen.", "Tick at least one run on an experiment's page, then compare.")
    if len(wanted) > most:
        raise Invalid(f"{len(wanted)} runs are too many for one table.", f"Choose at most {most}.")
    found = leaderboard(session, actor, [_wanted_or_baseline(wanted)], choice.subset)
    if absent := set(wanted) - {row.run_id for row in found}:
        raise NotFound(f"There is no run {min(absent)} here.", "Choose the runs again.")
    check_unlocked(session, wanted)
    rows = [row for row in found if row.scoring_id is not None]
    picked = [row for row in rows if row.run_id in wanted]
    if not picked:
        raise NotFound("None of these runs has predictions yet.", "Compare them when they are done.")
    data = _data_of(session, [row.run_id for row in rows])
    if len({data[row.run_id][0] for row in picked}) > 1:
        raise Invalid("These runs are on different datasets.", "Compare runs that predicted the same items.")
    own = data[picked[0].run_id]
    kept = _kept([row for row in rows if data[row.run_id] == own], wanted, choice.without)
    shown_rows = [row for row in rows if row in picked or row.run_id in kept]
    return Chosen(
        shown_rows,
        kept,
        session.get_one(Dataset, own[0]),
        session.get_one(Split, own[1]),
        {row.run_id: session.get_one(Split, data[row.run_id][1]) for row in shown_rows},
    )


def _wanted_or_baseline(wanted: list[int]) -> Any:
    experiments = select(Run.experiment_id).where(col(Run.id).in_(wanted))
    return or_(
        col(Run.id).in_(wanted),
        and_(
            col(Run.model).startswith("baseline/"),
            col(Run.state) == RunState.DONE,
            col(Run.experiment_id).in_(experiments),
        ),
    )


def _data_of(session: Session, run_ids: list[int]) -> dict[int, tuple[int, int]]:
    """{run id: (dataset id, split id)}."""
    found = session.exec(select(Run.id, Run.dataset_id, Run.split_id).where(col(Run.id).in_(run_ids)))
    return {run_id or 0: (dataset_id, split_id) for run_id, dataset_id, split_id in found}


def _kept(rows: list[LeaderboardRow], wanted: list[int], without: Sequence[int]) -> frozenset[int]:
    """The majority and the best other baseline, each unless a run of its model was chosen or it was taken out."""
    baselines = [row for row in rows if row.model.startswith("baseline/")]
    best = [row for row in baselines if row.model != MAJORITY][:1]
    majority = [row for row in baselines if row.model == MAJORITY][:1]
    chosen = {row.model for row in rows if row.run_id in wanted}
    return frozenset(
        row.run_id for row in best + majority if row.model not in chosen and row.run_id not in without
    )
