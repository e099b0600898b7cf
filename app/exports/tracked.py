"""What a tracker (TensorBoard, Weights & Biases, MLflow) is told of a run. Used by the three makers beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from app.evaluations.leaderboard import leaderboard
from app.exports.weights import base_name, model_name
from app.lab.actor import Actor
from app.tables import Experiment, Export, Run, RunMetric

ABOUT = ("dataset", "dataset_sha256", "split", "split_sha256", "task", "code")


@dataclass(frozen=True)
class Tracked:
    """A run as trackers know runs: `params` chosen once, `curves` as (name, step, value), `scores` of the test items
    with their intervals as test/<metric>, /low and /high. `key` is the same for the same run wherever it is sent."""

    run_id: int
    key: str
    name: str
    experiment: str
    params: dict[str, Any]
    about: dict[str, str]
    curves: list[tuple[str, int, float]]
    scores: dict[str, float]
    started_at: datetime
    ended_at: datetime

    @property
    def last_step(self) -> int:
        """Where the scores stand: at the end of the curves."""
        return max((step for _, step, _ in self.curves), default=0)

    def steps(self) -> Iterator[tuple[int, float, dict[str, float]]]:
        """(step, Unix time, values) in order. Curves keep steps, not times: these are spread evenly from start to
        end."""
        by_step: dict[int, dict[str, float]] = {}
        for name, step, value in self.curves:
            by_step.setdefault(step, {})[name] = value
        start, seconds = self.started_at.timestamp(), (self.ended_at - self.started_at).total_seconds()
        for step in sorted(by_step):
            yield step, start + seconds * step / max(1, self.last_step), by_step[step]


def tracked(session: Session, export: Export, run: Run) -> Tracked:
    """The run with its curves, ledger and newest scores."""
    run_id = run.id or 0
    actor = Actor(export.maker_id, export.project_id, "", "")
    experiment = session.get_one(Experiment, run.experiment_id)
    row = leaderboard(session, actor, [col(Run.id) == run_id])[0]
    points = session.exec(
        select(RunMetric).where(RunMetric.run_id == run_id).order_by(col(RunMetric.name), col(RunMetric.step))
    ).all()
    scores: dict[str, float] = {}
    for score in row.scores.values():
        named = {"": score.value, "/low": score.low, "/high": score.high}
        scores |= {f"test/{score.name}{end}": value for end, value in named.items() if value is not None}
    started = _utc(run.started_at or run.created_at)
    seed = {} if run.seed is None else {"seed": run.seed}
    return Tracked(
        run_id,
        run.launch_key,
        base_name(run),
        experiment.name,
        {"model": model_name(run), **seed, **{name: _used(line) for name, line in run.ledger.items()}},
        {name: str(run.snapshot[name]) for name in ABOUT if run.snapshot.get(name)},
        [(point.name, point.step, point.value) for point in points],
        scores,
        started,
        _utc(run.ended_at) if run.ended_at else started,
    )


def _used(line: dict[str, Any]) -> Any:
    return line.get("sent") if line.get("resolved") is None else line["resolved"]


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
