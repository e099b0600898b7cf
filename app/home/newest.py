"""The newest experiments for the first page: each with its best run and, beside it, its best baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.evaluations.columns import written
from app.evaluations.leaderboard import PRIMARY, model_colours, newest_scorings
from app.experiments.queries import state_of
from app.lab.actor import Actor, owned
from app.metrics import for_task
from app.metrics._base import Metric
from app.shapes import Axis, Whisker, axis_over, whisker
from app.tables import Dataset, Experiment, Run, RunState, Score

EXPERIMENTS = 6


@dataclass(frozen=True)
class Scored:
    """One run's main score with its 95 % interval; rates lie in 0..1."""

    run_id: int
    model: str
    seed: int | None
    colour: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ShownScore:
    """A score as text."""

    run_id: int
    label: str
    seed: int | None
    colour: int
    value: str
    low: str
    high: str


@dataclass(frozen=True)
class ExperimentRow:
    """One experiment. `axis` and `whisker` place the best run; the axis's reference is the best baseline."""

    id: int
    name: str
    dataset: str
    state: str
    runs: int
    done: int
    failed: int
    metric: str
    best: ShownScore | None
    baseline: ShownScore | None
    axis: Axis | None
    whisker: Whisker | None
    created_at: datetime


@dataclass(frozen=True)
class _Cell:
    """A run as far as this page needs it."""

    id: int
    experiment_id: int
    model: str
    seed: int | None
    state: str
    fold: int | None


def newest_experiments(session: Session, actor: Actor) -> list[ExperimentRow]:
    """At most EXPERIMENTS rows, by six queries."""
    query = owned(actor, Experiment).order_by(col(Experiment.id).desc()).limit(EXPERIMENTS)
    newest: list[Experiment] = list(session.exec(query))
    if not newest:
        return []
    wanted = col(Dataset.id).in_({row.dataset_id for row in newest})
    datasets = {row.id: row for row in session.exec(select(Dataset).where(wanted))}
    tasks = {row.id or 0: datasets[row.dataset_id].task for row in newest}
    cells = [
        _Cell(*row)
        for row in session.execute(
            select(Run.id, Run.experiment_id, Run.model, Run.seed, Run.state, Run.fold).where(
                col(Run.experiment_id).in_(tasks)
            )
        )
    ]
    metrics = {id_: _primary(task) for id_, task in tasks.items()}
    # A fold is a part of the run that pools all of them.
    scored = _scored(session, [cell for cell in cells if cell.fold is None], metrics)
    rates = {id_ for id_, metric in metrics.items() if metric.format == "percent"}
    axis = _shared_axis([rows for id_, rows in scored.items() if rows and id_ in rates])
    return [
        _row(
            row,
            datasets[row.dataset_id].name,
            metrics[row.id or 0],
            [cell.state for cell in cells if cell.experiment_id == row.id],
            scored[row.id or 0],
            axis if row.id in rates else None,
        )
        for row in newest
    ]


def _primary(task: str) -> Metric:
    """The metric that experiments of this task are ranked by."""
    return next(metric for metric in for_task(task) if metric.name == PRIMARY.get(task, "exact_match"))


def _scored(session: Session, cells: Sequence[_Cell], metrics: dict[int, Metric]) -> dict[int, list[Scored]]:
    """{experiment: its scored runs, best first}."""
    newest = newest_scorings(session, [cell.id for cell in cells])
    scoring_ids = {scoring for _, scoring, _ in newest.values()}
    found = {
        (row.scoring_id, row.name): row
        for row in session.execute(
            select(Score.scoring_id, Score.name, Score.value, Score.low, Score.high).where(
                col(Score.scoring_id).in_(scoring_ids),
                Score.subset == "all",
                col(Score.name).in_({metric.name for metric in metrics.values()}),
            )
        )
    }
    colours = model_colours(session, set(metrics))
    groups: dict[int, list[Scored]] = {id_: [] for id_ in metrics}
    for cell in cells:
        name = metrics[cell.experiment_id].name
        score = found.get((newest[cell.id][1], name)) if cell.id in newest else None
        if score is None or score.value is None:
            continue
        low = score.value if score.low is None else score.low
        high = score.value if score.high is None else score.high
        colour = colours[cell.experiment_id, cell.model]
        groups[cell.experiment_id].append(
            Scored(cell.id, cell.model, cell.seed, colour, score.value, low, high)
        )
    for id_, rows in groups.items():
        rows.sort(key=lambda row: row.run_id)
        rows.sort(key=lambda row: row.value, reverse=metrics[id_].direction == "higher")
    return groups


def _shared_axis(groups: Sequence[Sequence[Scored]]) -> Axis | None:
    """One axis for all rates, so that experiments on the first page can be read against each other."""
    spans = [(rows[0].low, rows[0].high) for rows in groups]
    spans += [(row.value, row.value) for rows in groups if (row := _best_baseline(rows))]
    return axis_over(spans, scale=100, floor=0, ceiling=1) if spans else None


def _best_baseline(rows: Sequence[Scored]) -> Scored | None:
    return next((row for row in rows if row.model.startswith("baseline/")), None)


def _row(
    experiment: Experiment,
    dataset: str,
    metric: Metric,
    states: list[str],
    scored: Sequence[Scored],
    axis: Axis | None,
) -> ExperimentRow:
    best = scored[0] if scored else None
    baseline = _best_baseline(scored)
    shown = _shown(best, metric.format)
    placed = None
    if axis and best and shown:
        said = f"{shown.label}: {shown.value}, 95 % interval {shown.low} to {shown.high}"
        placed = whisker(axis, best.value, best.low, best.high, best.colour, said)
        if baseline and baseline is not best:
            axis = replace(axis, reference=axis.x(baseline.value))
    return ExperimentRow(
        experiment.id or 0,
        experiment.name,
        dataset,
        state_of(states),
        len(states),
        states.count(RunState.DONE),
        states.count(RunState.FAILED),
        metric.label + (", %" if metric.format == "percent" else ""),
        shown,
        _shown(baseline, metric.format),
        axis if placed else None,
        placed,
        experiment.created_at,
    )


def _shown(row: Scored | None, form: str) -> ShownScore | None:
    if row is None:
        return None
    value, low, high = (written(number, form) for number in (row.value, row.low, row.high))
    return ShownScore(row.run_id, model_label(row.model), row.seed, row.colour, value, low, high)
