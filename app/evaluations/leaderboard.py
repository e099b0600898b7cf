"""Runs with their newest scores, as rows of a table. Shown by experiments and comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, inspect
from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.evaluations.looks import note_look
from app.lab.actor import Actor, owned
from app.metrics import for_task
from app.runs.hosted_cost import known_cost
from app.runs.lock import locked_runs, not_locked
from app.tables import ACTIVE, Dataset, Evaluation, Run, RunState, Score, Scoring

# The score a table is sorted by, per task.
PRIMARY = {
    "classification": "accuracy",
    "number": "mae",
    "list": "set_match",
    "json": "json_fields",
    "text": "chrf",
}
COLOURS = 8
SCORE = tuple(inspect(Score).columns)
# How many runs one comparison takes.
MOST_COMPARED = 20


@dataclass(frozen=True)
class ScoreView:
    """One score with its 95 % interval; `value` is None when it does not apply."""

    name: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    format: str
    direction: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class LeaderboardRow:
    """One run; `colour` 1 to 8 is the model's own, the same on every page of the experiment."""

    run_id: int
    experiment_id: int
    model: str
    label: str
    seed: int | None
    state: str
    active: bool
    progress: float
    progress_note: str
    seconds_left: float | None
    error: str
    colour: int
    scores: dict[str, ScoreView]
    primary: ScoreView | None
    seconds: float | None
    microdollars: int | None
    scoring_id: int | None
    evaluation_id: int | None
    items: int
    # Median time of one answer, and tokens of all answers; None where the model does not say.
    latency_ms: float | None = None
    tokens: int | None = None
    # How many of the items do not stand in train too; None when none does, or before the run is scored.
    unseen: int | None = None
    # What sets the run apart from others of its model; the fold it was tested on; whether it pools folds.
    variant: str = ""
    fold: int | None = None
    pooled: bool = False
    # The part that the scores are of; `locked`: the test part's are hidden until a person unlocks them.
    part: str = "test"
    locked: bool = False
    validation: ScoreView | None = None

    @property
    def name(self) -> str:
        """The model with what sets it apart and its seed, as it is called in sentences."""
        return f"{self.label}, {self.note}" if self.note and self.note != "imported" else self.label

    @property
    def note(self) -> str:
        """What sets the run apart from others of its model, in a few words."""
        fold = "" if self.fold is None else f"fold {self.fold}"
        seed = "" if self.seed is None else f"seed {self.seed}"
        imported = "imported" if self.model.startswith("imported/") else ""
        return ", ".join(part for part in (self.variant, fold, seed, imported) if part)


def leaderboard(
    session: Session, actor: Actor, where: Sequence[Any], subset: str = "all"
) -> list[LeaderboardRow]:
    """The runs that `where` selects: scored ones first, best on top, then those under way.

    `subset` "unseen": scores on the test items that do not stand in train too; where none does, all items are
    such, and the scores are those on all.
    """
    runs = list(session.exec(owned(actor, Run).where(*where).order_by(col(Run.id))))
    if not runs:
        return []
    task = session.get_one(Dataset, runs[0].dataset_id).task
    ids = [run.id or 0 for run in runs]
    newest, validated = newest_scorings(session, ids), _validated(session, ids)
    scorings = {scoring for found in (newest, validated) for _, scoring, _ in found.values()}
    scores, unseen = _scores(session, scorings, task, subset)
    hidden = locked_runs(session, ids)
    colours = model_colours(session, {run.experiment_id for run in runs})
    used = _used(session, [evaluation for evaluation, _, _ in newest.values()])
    rows = [
        _with_validation(
            _row(run, newest.get(run.id or 0), scores, unseen, colours, task, used),
            validated.get(run.id or 0),
            scores,
            task,
            run.id in hidden,
        )
        for run in runs
    ]
    return sorted(rows, key=_order)


def newest_scorings(session: Session, run_ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """{run id: (evaluation id, newest scoring id, number of items)} of the test evaluations that are not locked.

    Asking counts as a look at the test set, see looks.py.
    """
    # What is locked is not given, whoever asks.
    rows = _newest(session, run_ids, [Evaluation.part == "test", not_locked()])
    note_look(session, {experiment_id for *_, experiment_id in rows})
    return {run: (evaluation, scoring, items) for run, evaluation, scoring, items, _ in rows}


def _validated(session: Session, run_ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    rows = _newest(session, run_ids, [Evaluation.part == "validation"])
    return {run: (evaluation, scoring, items) for run, evaluation, scoring, items, _ in rows}


def _newest(session: Session, run_ids: Sequence[int], where: Sequence[Any]) -> Sequence[Any]:
    return session.exec(
        select(Evaluation.run_id, Evaluation.id, func.max(Scoring.id), Evaluation.items, Run.experiment_id)
        .join(Scoring, col(Scoring.evaluation_id) == Evaluation.id)
        .join(Run, col(Run.id) == Evaluation.run_id)
        .where(col(Evaluation.run_id).in_(run_ids), *where)
        .group_by(col(Evaluation.run_id), col(Evaluation.id), col(Evaluation.items), col(Run.experiment_id))
    ).all()


def _used(session: Session, evaluation_ids: list[int]) -> dict[int, tuple[float | None, int | None]]:
    """{evaluation id: (median milliseconds of an answer, tokens)}."""
    rows = session.exec(
        select(Evaluation.id, Evaluation.latency_ms, Evaluation.tokens).where(
            col(Evaluation.id).in_(evaluation_ids)
        )
    )
    return {evaluation or 0: (latency, tokens) for evaluation, latency, tokens in rows}


def _scores(
    session: Session, scoring_ids: set[int], task: str, subset: str
) -> tuple[dict[int, dict[str, ScoreView]], dict[int, int]]:
    """({scoring: {metric: score}}, {scoring: unseen items} where some items were seen)."""
    metrics = {metric.name: metric for metric in for_task(task)}
    # Plain rows: a page has hundreds of scores, and making objects of them took a third of its time.
    rows = session.execute(select(*SCORE).where(col(Score.scoring_id).in_(scoring_ids))).all()
    unseen: dict[int, int] = {}
    for row in rows:
        if row.subset == "unseen":
            unseen[row.scoring_id] = max(row.n, unseen.get(row.scoring_id, 0))
    found: dict[int, dict[str, ScoreView]] = {scoring_id: {} for scoring_id in scoring_ids}
    for row in rows:
        metric = metrics.get(row.name)
        if metric and row.subset == (subset if row.scoring_id in unseen else "all"):
            found[row.scoring_id][row.name] = ScoreView(
                row.name,
                metric.label,
                row.value,
                row.low,
                row.high,
                row.n,
                metric.format,
                metric.direction,
                row.detail,
            )
    # In the order of the metrics, not of the database.
    ordered = {
        scoring_id: {name: views[name] for name in metrics if name in views}
        for scoring_id, views in found.items()
    }
    return ordered, unseen


def model_colours(session: Session, experiment_ids: set[int]) -> dict[tuple[int, str], int]:
    """{(experiment, model): 1..8} by the order in which the models were launched."""
    rows = session.exec(
        select(Run.experiment_id, Run.model, func.min(Run.id))
        .where(col(Run.experiment_id).in_(experiment_ids))
        .group_by(col(Run.experiment_id), col(Run.model))
        .order_by(func.min(Run.id))
    ).all()
    colours: dict[tuple[int, str], int] = {}
    used: dict[int, int] = {}
    for experiment_id, model, _first in rows:
        number = used[experiment_id] = used.get(experiment_id, 0) + 1
        colours[experiment_id, model] = (number - 1) % COLOURS + 1
    return colours


def _row(
    run: Run,
    newest: tuple[int, int, int] | None,
    scores: dict[int, dict[str, ScoreView]],
    unseen: dict[int, int],
    colours: dict[tuple[int, str], int],
    task: str,
    used: dict[int, tuple[float | None, int | None]],
) -> LeaderboardRow:
    views = scores[newest[1]] if newest else {}
    latency, tokens = used.get(newest[0], (None, None)) if newest else (None, None)
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None
    if run.pooled:
        # The folds' own times: between them others may have run.
        seconds = run.snapshot.get("seconds")
    return LeaderboardRow(
        run_id=run.id or 0,
        experiment_id=run.experiment_id,
        model=run.model,
        label=model_label(run.model),
        seed=run.seed,
        state=run.state,
        active=run.state in ACTIVE,
        progress=run.progress,
        progress_note=run.progress_note,
        seconds_left=run.seconds_left,
        error=run.error,
        colour=colours[run.experiment_id, run.model],
        scores=views,
        primary=views.get(PRIMARY.get(task, "exact_match")),
        seconds=seconds,
        microdollars=known_cost(run),
        scoring_id=newest[1] if newest else None,
        evaluation_id=newest[0] if newest else None,
        items=newest[2] if newest else 0,
        latency_ms=latency,
        tokens=tokens,
        unseen=unseen.get(newest[1]) if newest else None,
        variant=run.variant,
        fold=run.fold,
        pooled=run.pooled,
    )


def _with_validation(
    row: LeaderboardRow,
    validated: tuple[int, int, int] | None,
    scores: dict[int, dict[str, ScoreView]],
    task: str,
    hidden: bool,
) -> LeaderboardRow:
    """The row with its validation scores; while the test set is locked they stand in the place of the test's.

    No scoring or evaluation is named then, so that nothing can be read through the row.
    """
    views = scores[validated[1]] if validated else {}
    best = views.get(PRIMARY.get(task, "exact_match"))
    if not hidden:
        return replace(row, validation=best)
    items = validated[2] if validated else 0
    return replace(
        row, scores=views, primary=best, validation=best, items=items, part="validation", locked=True
    )


def _order(row: LeaderboardRow) -> tuple[Any, ...]:
    if row.primary is None or row.primary.value is None:
        return (1 if row.state != RunState.FAILED else 2, 0.0, row.run_id)
    sign = -1 if row.primary.direction == "higher" else 1
    return (0, sign * row.primary.value, row.run_id)
