"""What the run page and the API show of a run: the stored snapshot and ledger, never the form."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import true
from sqlmodel import Session, col, select

from app.catalog.facts import hyperparameters
from app.catalog.models import find_model, model_label, toolkits
from app.clock import now
from app.errors import TunebookError
from app.lab.actor import Actor, find
from app.lab.reservations import MoneyLine, run_money
from app.runs import outputs
from app.runs.away_view import AwayView, away_view
from app.runs.bundle import bundle_files, toolkit_files
from app.runs.hosted_cost import known_cost
from app.runs.hosted_view import HostedView, hosted_view
from app.runs.ledger import LedgerRow, show
from app.runs.lock import locked_runs
from app.runs.reply_service import RepliesView, replies_view
from app.storage import run_folder
from app.tables import ACTIVE, FINAL, Dataset, Experiment, Run, RunMetric, RunState, Split

LOG_LINES = 200


@dataclass(frozen=True)
class FileLine:
    """One file to download."""

    label: str
    note: str
    href: str
    size_bytes: int | None


@dataclass(frozen=True)
class RunView:
    """A run as its page shows it."""

    id: int
    experiment_id: int
    experiment: str
    dataset_id: int
    dataset: str
    split: str
    model: str
    label: str
    kind: str
    seed: int | None
    variant: str
    fold: int | None
    state: str
    active: bool
    finished: bool
    cancel_asked: bool
    progress: float
    progress_note: str
    seconds_left: float | None
    seconds: float | None
    microdollars: int | None
    error: str
    hint: str
    ledger: list[LedgerRow]
    snapshot: dict[str, Any]
    estimate: dict[str, Any]
    preview: list[Any]
    log: str
    files: list[FileLine]
    # What the run's toolkit was given, name -> text; {} for other runs.
    configuration: dict[str, str]
    tokens_per_second: float | None
    launched_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    launch_key: str
    hosted: HostedView | None
    # What it has reserved and cost; None for a run that costs nothing.
    money: MoneyLine | None
    replies: RepliesView | None
    # Its job on another machine; None for a run of this machine or of a service.
    away: AwayView | None

    @property
    def name(self) -> str:
        """The model with what sets it apart, and its seed."""
        fold = "" if self.fold is None else f"fold {self.fold}"
        seed = "" if self.seed is None else f"seed {self.seed}"
        return ", ".join(part for part in (self.label, self.variant, fold, seed) if part)

    @property
    def trains(self) -> bool:
        """Whether it has a loss, by the built-in trainer or a toolkit."""
        return self.kind in ("starter", "hf", *toolkits())

    @property
    def other_trainers(self) -> bool:
        """Whether other trainers can make the same model."""
        return self.kind in ("hf", *toolkits())

    @property
    def can_retry(self) -> bool:
        """Whether the page offers to start it again."""
        return self.state in (RunState.FAILED, RunState.CANCELLED) and self.kind != "imported"


def run_view(session: Session, actor: Actor, run_id: int) -> RunView:
    """Everything about one run; reads its log and preview from the bundle's out/ folder."""
    run: Run = find(session, actor, Run, run_id)
    experiment = session.get_one(Experiment, run.experiment_id)
    dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
    folder = run_folder(run_id)
    end = run.ended_at or (now() if run.state in ACTIVE else None)
    return RunView(
        id=run_id,
        experiment_id=run.experiment_id,
        experiment=experiment.name,
        dataset_id=run.dataset_id,
        dataset=dataset.name,
        split=split.name,
        model=run.model,
        label=model_label(run.model),
        kind=run.model.partition("/")[0],
        seed=run.seed,
        variant=run.variant,
        fold=run.fold,
        state=run.state,
        active=run.state in ACTIVE,
        finished=run.state in FINAL,
        cancel_asked=run.cancel_asked and run.state not in FINAL,
        progress=run.progress,
        progress_note=run.progress_note,
        seconds_left=run.seconds_left,
        seconds=(end - run.started_at).total_seconds() if end and run.started_at else None,
        microdollars=known_cost(run),
        error=run.error,
        hint=run.hint,
        ledger=show(run.ledger, labels_of(run), run.state == RunState.DONE),
        snapshot=run.snapshot,
        estimate=run.estimate,
        preview=outputs.read_list(folder, "preview.json"),
        log=outputs.read_log(folder, LOG_LINES),
        files=_files(run, bool(locked_runs(session, [run_id]))),
        configuration={name: _text(path) for name, path in toolkit_files(folder).items()},
        tokens_per_second=_last(session, run_id, "tokens_per_second"),
        launched_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        launch_key=run.launch_key,
        hosted=hosted_view(session, run),
        money=run_money(session, run_id),
        replies=replies_view(session, run),
        away=away_view(session, run),
    )


def labels_of(run: Run) -> dict[str, str]:
    """{hyperparameter: its label}; {} for a model that is not known any more."""
    try:
        return {field.name: field.label for field in hyperparameters(find_model(run.model))}
    except TunebookError:
        return {}


def _last(session: Session, run_id: int, name: str) -> float | None:
    return session.exec(
        select(RunMetric.value)
        .where(RunMetric.run_id == run_id, RunMetric.name == name)
        .order_by(col(RunMetric.step).desc())
        .limit(1)
    ).first()


def curves(
    session: Session, actor: Actor, run_id: int, names: Collection[str] | None = None
) -> dict[str, Any]:
    """{"state", "active", "steps": in all or None, "series": {name: [[step, value], ...]}} in order of steps; with
    `names` only those."""
    run: Run = find(session, actor, Run, run_id)
    series: dict[str, list[list[float]]] = {}
    rows = session.exec(
        select(RunMetric.name, RunMetric.step, RunMetric.value)
        .where(RunMetric.run_id == run_id, true() if names is None else col(RunMetric.name).in_(names))
        .order_by(RunMetric.name, RunMetric.step)  # type: ignore[arg-type]
    )
    for name, step, value in rows:
        series.setdefault(name, []).append([step, value])
    return {
        "state": run.state,
        "active": run.state in ACTIVE,
        "steps": outputs.read_progress(run_folder(run_id)).steps,
        "series": series,
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _files(run: Run, locked: bool) -> list[FileLine]:
    """What can be downloaded; while the test set is locked, nothing that holds its predictions."""
    folder = run_folder(run.id or 0)
    base = f"/runs/{run.id}"
    lines = []
    if run.state == RunState.DONE and not locked:
        lines.append(
            FileLine("Test predictions", "CSV, safe in spreadsheets", f"{base}/predictions.csv", None)
        )
        lines.append(
            FileLine("Test predictions, raw", "CSV, answers untouched", f"{base}/predictions.csv?raw=1", None)
        )
    if not (folder / "config.json").is_file():
        return lines
    weights = outputs.weights_folder(folder)
    if weights:
        size = sum(file.stat().st_size for file in weights.rglob("*") if file.is_file())
        label = "Adapter" if weights.name == "adapter" else "Model"
        lines.append(FileLine(label, "safetensors, zip", f"{base}/weights.zip", size))
    if not locked:
        total = sum(file.stat().st_size for file in bundle_files(folder))
        lines.append(FileLine("Bundle", "repeats the run without Tunebook, zip", f"{base}/bundle.zip", total))
    for label, note, name in (
        *(("Toolkit’s configuration", name, name) for name in toolkit_files(folder)),
        ("Configuration", "JSON", "config.json"),
        ("Metrics", "JSON Lines", "out/metrics.jsonl"),
        ("Log", "text", "out/log.txt"),
        ("Train file as sent", "JSON Lines", "service/train.jsonl"),
        ("Validation file as sent", "JSON Lines", "service/validation.jsonl"),
        ("Job, first answer", "JSON of the service", "service/job-first.json"),
        ("Job, last answer", "JSON of the service", "service/job-last.json"),
    ):
        if (folder / name).is_file():
            lines.append(
                FileLine(
                    label, note, f"{base}/files/{name.rpartition('/')[2]}", (folder / name).stat().st_size
                )
            )
    return lines
