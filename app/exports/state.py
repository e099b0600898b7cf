"""What a paper is made from: the chosen runs with their scores, rules, ledgers and snapshots, read once.

Everything that leaves Tunebook for a paper (tables, Methods, bundle, static page) is made from this alone, so that
the same state gives the same bytes on every machine: runs are known by keys, never by row ids.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session, col

from app.comparisons.queries import compared_runs
from app.datasets.leaks import leaked_numbers
from app.evaluations.answers import Rules
from app.evaluations.judge_marks import newest_judging
from app.evaluations.leaderboard import PRIMARY, LeaderboardRow, ScoreView, leaderboard
from app.evaluations.looks import count_looks
from app.evaluations.queries import scored_run
from app.experiments.designs import describe
from app.experiments.lock import lock_view
from app.exports.machine import without_paths
from app.exports.pairs import PairTest, pair_tests
from app.lab.actor import Actor
from app.runs.augment import describe_augment
from app.runs.hosted_cost import known_cost
from app.tables import Dataset, Experiment, Run, Split

# The score that right and wrong answers make, which McNemar's test is about.
TESTED = {"classification": "accuracy", "number": "within_tolerance", "list": "set_match"}


@dataclass(frozen=True)
class PaperRun:
    """One run. `key` names its files; `colour` is its model's, 1 to 8, in this comparison."""

    run_id: int
    key: str
    model: str
    label: str
    # What sets it apart from other runs of its model but for the seed: settings, the size of train.
    variant: str
    seed: int | None
    name: str
    colour: int
    rules: Rules
    scores: dict[str, ScoreView]
    # Scores on the test items that do not stand in train too; {} where none does.
    unseen: dict[str, ScoreView]
    row: LeaderboardRow
    ledger: dict[str, Any]
    snapshot: dict[str, Any]
    decoding: dict[str, Any]
    matched_by: str
    # The judge behind the judge score: model, scale, prompt and how many items; {} where none judged.
    judge: dict[str, Any]
    part: str
    items: int
    microdollars: int | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def line(self) -> tuple[str, str]:
        """What its seeds have in common: the model and its settings."""
        return self.model, self.variant

    @property
    def imported(self) -> bool:
        """Whether only the answers are known."""
        return self.model.startswith("imported/")

    @property
    def seconds(self) -> float | None:
        """From start to end."""
        return (
            (self.ended_at - self.started_at).total_seconds() if self.ended_at and self.started_at else None
        )


@dataclass(frozen=True)
class PaperState:
    """A comparison as a paper needs it: runs from the best down, seeds of a model together."""

    dataset: Dataset
    splits: tuple[Split, ...]
    # {SHA-256 of a split: how many of its test items stand in train too}.
    leaked: dict[str, int]
    runs: tuple[PaperRun, ...]
    pairs: tuple[PairTest, ...]
    primary: str
    tested: str
    # How it was tested and chosen, and how often the test set was looked at meanwhile, as sentences.
    looks: tuple[str, ...]

    @property
    def task(self) -> str:
        """The dataset's task."""
        return self.dataset.task

    @property
    def labels(self) -> list[str]:
        """The classes, or none."""
        return list(self.dataset.labels)

    @property
    def best(self) -> PaperRun:
        """The run with most right answers."""
        return self.run(self.pairs[0].a) if self.pairs else self.runs[0]

    def run(self, key: str) -> PaperRun:
        """The run of that key."""
        return next(run for run in self.runs if run.key == key)


def read_state(session: Session, actor: Actor, run_ids: Sequence[int]) -> PaperState:
    """The state of these runs; raises NotFound or Invalid as the compare page does."""
    rows, dataset, _ = compared_runs(session, actor, run_ids)
    primary = PRIMARY.get(dataset.task, "exact_match")
    tested = TESTED.get(dataset.task, "exact_match")
    unseen = _unseen(session, actor, rows)
    runs = _ordered([_read(session, actor, row, unseen.get(row.run_id, {})) for row in rows], primary)
    splits = [session.get_one(Split, session.get_one(Run, run.run_id).split_id) for run in runs]
    distinct = {split.sha256: split for split in splits}
    scorings = [(run.key, run.row.scoring_id or 0, run.scores.get(tested)) for run in runs]
    pairs = pair_tests(session, scorings, dict(zip((run.key for run in runs), splits, strict=True)))
    ordered = tuple(distinct[key] for key in sorted(distinct))
    leaked = {split.sha256: len(leaked_numbers(session, split)) for split in ordered}
    return PaperState(dataset, ordered, leaked, runs, pairs, primary, tested, _looks(session, runs))


def _unseen(
    session: Session, actor: Actor, rows: Sequence[LeaderboardRow]
) -> dict[int, dict[str, ScoreView]]:
    """{run id: scores on unseen items} of the runs that have seen some."""
    touched = [row.run_id for row in rows if row.unseen is not None]
    found = leaderboard(session, actor, [col(Run.id).in_(touched)], "unseen") if touched else []
    return {row.run_id: row.scores for row in found}


def _looks(session: Session, runs: Sequence[PaperRun]) -> tuple[str, ...]:
    ids = sorted({run.row.experiment_id for run in runs})
    experiments = [session.get_one(Experiment, one) for one in ids]
    said = [
        text
        for one in experiments
        for text in (
            describe(one.design, len(session.get_one(Split, one.split_id).groups)),
            describe_augment(one.augment),
            lock_view(session, one).sentence,
        )
    ]
    looks = sorted({count_looks(session, one).sentence for one in experiments})
    return (*dict.fromkeys(text for text in said if text), *looks)


def _read(session: Session, actor: Actor, row: LeaderboardRow, unseen: dict[str, ScoreView]) -> PaperRun:
    scored = scored_run(session, actor, row.run_id)
    run = scored.run
    return PaperRun(
        run_id=row.run_id,
        key="",
        model=without_paths(row.model),
        label=row.label,
        variant=row.variant,
        seed=row.seed,
        name=row.name,
        colour=0,
        rules=scored.rules,
        scores=row.scores,
        unseen=unseen,
        row=replace(row, model=without_paths(row.model)),
        ledger=without_paths(run.ledger),
        snapshot=without_paths(run.snapshot),
        decoding=without_paths(scored.evaluation.decoding),
        matched_by=scored.evaluation.matched_by,
        judge=_judge(session, scored.evaluation.id or 0),
        part=scored.evaluation.part,
        items=scored.evaluation.items,
        microdollars=known_cost(run),
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _judge(session: Session, evaluation_id: int) -> dict[str, Any]:
    judging = newest_judging(session, evaluation_id)
    names = ("model", "scale", "prompt", "prompt_sha256", "decoding", "items", "of_items", "seed")
    return {name: getattr(judging, name) for name in names} if judging else {}


def _ordered(runs: list[PaperRun], primary: str) -> tuple[PaperRun, ...]:
    """Models by their mean, best first, then by name; a model's seeds together. Ids have no part in it."""
    values: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        score = run.scores.get(primary)
        if score and score.value is not None:
            values.setdefault(run.line, []).append(
                score.value if score.direction == "higher" else -score.value
            )
    means = {line: sum(found) / len(found) for line, found in values.items()}

    def place(run: PaperRun) -> tuple[Any, ...]:
        mean = means.get(run.line)
        return (mean is None, -(mean or 0.0), *run.line, run.seed is None, run.seed or 0, _fingerprint(run))

    ordered = sorted(runs, key=place)
    models = list(dict.fromkeys(run.model for run in ordered))
    taken: set[str] = set()
    return tuple(_named(run, models.index(run.model), taken) for run in ordered)


def _named(run: PaperRun, place: int, taken: set[str]) -> PaperRun:
    """The run with its key: the model and the seed, and a few digits of what it was made from where two are alike."""
    key = re.sub(r"[^a-z0-9.]+", "-", run.model.lower()).strip("-.")[:80] or "run"
    if run.seed is not None:
        key += f"-seed-{run.seed}"
    if key in taken:
        key += f"-{_fingerprint(run)[:8]}"
    while key in taken:
        key += "x"
    taken.add(key)
    colour = place % 8 + 1
    return replace(run, key=key, colour=colour, row=replace(run.row, colour=colour))


def _fingerprint(run: PaperRun) -> str:
    made_from = [run.ledger, run.snapshot, run.rules.to_json(), {n: s.value for n, s in run.scores.items()}]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
