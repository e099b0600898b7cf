"""Paired tests of chosen runs: small sets are computed at once, large ones by the worker. Called by paired_routes.py,
paired_api.py and workers/comparisons.py.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sqlmodel import Session, col, select

from app.comparisons.pair import Pair
from app.comparisons.paired import PairedTest, paired_tests
from app.comparisons.sides import MOST_SEEDS, seeds_of
from app.db import session_scope
from app.errors import Invalid, NotFound
from app.evaluations.leaderboard import LeaderboardRow, leaderboard
from app.evaluations.samples import load_sample
from app.lab.actor import Actor, require_member
from app.metrics import Sample
from app.queue import TEST_PAIR, enqueue
from app.runs.lock import check_unlocked
from app.tables import PairTest, PairTestState, Run

# Up to here a pair takes about a second.
SMALL = 2_000
SUBSETS = ("all", "unseen")
# Goes up when tests are made otherwise: stored ones are then made anew.
METHODS = 2
# The tests of small sets that were computed last, by database and key; a computation each, since scorings never change.
MOST_KEPT = 64
_newest: WeakKeyDictionary[Any, dict[tuple[str, str, str], tuple[PairedTest, ...]]] = WeakKeyDictionary()
_keeping = threading.Lock()
Save = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True)
class PairTests:
    """What is known of a pair: `state` is ready, computing, absent (nobody asked yet) or failed."""

    a: list[LeaderboardRow]
    b: list[LeaderboardRow]
    subset: str
    state: str
    tests: list[PairedTest]
    error: str = ""
    hint: str = ""


def pair_tests(
    session: Session, actor: Actor, a: Sequence[int], b: Sequence[int], subset: str = "all"
) -> PairTests:
    """The tests of runs `a` (seeds of one model) against runs `b`, as far as they are known; reads only.

    Raises NotFound for runs that are not there or not scored, Invalid for runs that cannot be paired.
    """
    rows_a, rows_b = _sides(session, actor, a, b, subset)
    keys = _key(rows_a), _key(rows_b)
    if max(row.items for row in (*rows_a, *rows_b)) <= SMALL:
        small = list(_small(session, *keys, subset))
        return PairTests(rows_a, rows_b, subset, PairTestState.READY, small)
    row = _stored(session, *keys, subset)
    if row is None:
        return PairTests(rows_a, rows_b, subset, "absent", [])
    state = "computing" if row.state == PairTestState.QUEUED else row.state
    tests = [PairedTest(**test) for test in row.tests]
    return PairTests(rows_a, rows_b, subset, state, tests, row.error, row.hint)


def ask_pair_tests(
    session: Session, actor: Actor, a: Sequence[int], b: Sequence[int], subset: str = "all"
) -> PairTests:
    """As pair_tests; what is not known is queued for the worker, once."""
    require_member(actor, "have tests computed")
    found = pair_tests(session, actor, a, b, subset)
    if found.state not in ("absent", PairTestState.FAILED):
        return found
    keys = _key(found.a), _key(found.b)
    row = _stored(session, *keys, subset) or PairTest(
        project_id=actor.project_id, maker_id=actor.member_id, a=keys[0], b=keys[1], subset=subset
    )
    row.state, row.attempt, row.error, row.hint, row.due_at = PairTestState.QUEUED, 0, "", "", None
    session.add(row)
    session.flush()
    enqueue(session, TEST_PAIR, row.id or 0)
    return replace(found, state="computing", error="", hint="")


def tests_address(pair: Pair, rows: Sequence[LeaderboardRow], subset: str) -> str:
    """The address of the tests of a pair, each model with all its seeds among `rows`."""
    sides = [",".join(str(row.run_id) for row in seeds_of(run, rows)) for run in (pair.a, pair.b)]
    if sides[0] == sides[1]:
        # Two seeds of one model against each other.
        sides = [str(pair.a.run_id), str(pair.b.run_id)]
    return f"/compare/tests?a={sides[0]}&b={sides[1]}&subset={subset}"


def compute_pair_tests(row: PairTest, save: Save) -> None:
    """The worker's step: computes and stores."""
    with session_scope(write=False) as session:
        tests = _compute(session, row.a, row.b, row.subset)
    with save() as session:
        stored = session.get_one(PairTest, row.id)
        stored.state, stored.tests = PairTestState.READY, [asdict(test) for test in tests]


def fail_pair_tests(row: PairTest, save: Save, message: str, hint: str) -> None:
    """Records why the tests cannot be had."""
    with save() as session:
        stored = session.get_one(PairTest, row.id)
        stored.state, stored.error, stored.hint = PairTestState.FAILED, message[:2000], hint[:2000]


def _sides(
    session: Session, actor: Actor, a: Sequence[int], b: Sequence[int], subset: str
) -> tuple[list[LeaderboardRow], list[LeaderboardRow]]:
    if subset not in SUBSETS:
        raise Invalid(f"There is no subset {subset!r}.", f"Choose one of {', '.join(SUBSETS)}.")
    if not a or not b or set(a) & set(b) or max(len(a), len(b)) > MOST_SEEDS:
        raise Invalid(
            "A pair needs runs on both sides, each on one side only.",
            f"Name 1 to {MOST_SEEDS} runs of A and of B, for example a=4&b=7.",
        )
    rows = {row.run_id: row for row in leaderboard(session, actor, [col(Run.id).in_({*a, *b})])}
    check_unlocked(session, rows)
    for run_id in (*a, *b):
        if run_id not in rows:
            raise NotFound(f"There is no run {run_id} here.", "Choose the runs again.")
        if rows[run_id].scoring_id is None:
            raise NotFound(f"Run {run_id} has no predictions yet.", "Compare it when it is done.")
    runs = session.exec(select(Run.dataset_id).where(col(Run.id).in_(rows)).distinct()).all()
    if len(runs) > 1:
        raise Invalid("These runs are on different datasets.", "Compare runs that predicted the same items.")
    sides = [sorted((rows[i] for i in dict.fromkeys(side)), key=lambda row: row.run_id) for side in (a, b)]
    return sides[0], sides[1]


def _key(rows: Sequence[LeaderboardRow]) -> str:
    """The scorings and the methods; where a judge has marked their answers since, a hash of its scores too:
    "12,15;2;9f3c01aa"."""
    key = f"{','.join(str(row.scoring_id) for row in rows)};{METHODS}"
    marks = [row.scores["judge_score"].value for row in rows if "judge_score" in row.scores]
    return f"{key};{hashlib.sha256(repr(marks).encode()).hexdigest()[:8]}" if marks else key


def _stored(session: Session, a: str, b: str, subset: str) -> PairTest | None:
    return session.exec(
        select(PairTest).where(PairTest.a == a, PairTest.b == b, PairTest.subset == subset)
    ).first()


def _small(session: Session, a: str, b: str, subset: str) -> tuple[PairedTest, ...]:
    with _keeping:
        kept = _newest.setdefault(session.get_bind(), {})
    found = kept.get((a, b, subset))
    if found is None:
        found = tuple(_compute(session, a, b, subset))
        with _keeping:
            if len(kept) >= MOST_KEPT:
                del kept[next(iter(kept))]
            kept[a, b, subset] = found
    return found


def _compute(session: Session, a: str, b: str, subset: str) -> list[PairedTest]:
    seeds = [
        [load_sample(session, int(one), subset) for one in key.partition(";")[0].split(",")] for key in (a, b)
    ]
    numbers = reduce(np.intersect1d, [own for side in seeds for own, _ in side])
    if not len(numbers):
        return []
    one, two = ([_only(own, sample, numbers) for own, sample in side] for side in seeds)
    return paired_tests(one, two)


def _only(own: np.ndarray, sample: Sample, numbers: np.ndarray) -> Sample:
    if len(own) == len(numbers):
        return sample
    return sample.only(np.searchsorted(own, numbers).tolist())
