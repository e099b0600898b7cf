"""Runs: one cell of an experiment's grid."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from app.tables._base import Json, Leased, Owned, UtcTime


class RunState(StrEnum):
    """A run's life; the allowed moves stand in app/runs/lifecycle.py."""

    QUEUED = "queued"
    PREPARING = "preparing"
    SUBMITTING = "submitting"
    TRAINING = "training"
    PREDICTING = "predicting"
    SCORING = "scoring"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    UNKNOWN = "unknown"


FINAL = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
ACTIVE = tuple(state for state in RunState if state not in (*FINAL, RunState.PAUSED))
# What workers look at: a paused run too, now and then.
LOOKED_AT = (*ACTIVE, RunState.PAUSED)


class Run(Owned, Leased, table=True):
    """One model, one seed, one dataset: trains (or needs no training), predicts the test items, is scored."""

    __table_args__ = (
        Index("ix_run_project_newest", "project_id", "id"),
        Index("ix_run_project_model", "project_id", "model", "id"),
        Index("ix_run_project_state", "project_id", "state", "id"),
        Index("ix_run_state_due", "state", "due_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    experiment_id: int = Field(foreign_key="experiment.id", index=True)
    dataset_id: int = Field(foreign_key="dataset.id", index=True)
    split_id: int = Field(foreign_key="split.id")
    model: str = Field(max_length=300, index=True)
    seed: int | None = None
    # What sets the run apart from others of its model in the experiment: "batch size 16", "20 % of train".
    variant: str = Field(default="", max_length=300)
    # The fold (from 1) that this run is tested on. `pooled`: made of all folds' predictions, nothing was trained.
    fold: int | None = None
    pooled: bool = False
    state: str = Field(default=RunState.QUEUED, max_length=20)
    # 0..1 of the current state's work, with a sentence and the time left as the process says them.
    progress: float = 0.0
    progress_note: str = Field(default="", max_length=300)
    seconds_left: float | None = None
    cancel_asked: bool = False
    launch_key: str = Field(max_length=64, unique=True)
    # Where it trains; None: on this machine, or at the service that its model names.
    machine_id: int | None = Field(default=None, foreign_key="machine.id", index=True)
    # Hyperparameters by name: {"asked": ..., "sent": ..., "resolved": ..., "source": ...}
    ledger: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    snapshot: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    estimate: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # How compute finds the process again: pid, start time, boot id, launch key.
    handle: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # How far the files of the process have been read: byte offset of metrics.jsonl.
    metrics_read: int = Field(default=0, sa_type=BigInteger)
    # The furthest that the process ever came (0 to 3, see steps.py), and the kills since then: a process that
    # only dies at the same place is not restarted forever.
    furthest: float = 0.0
    kills: int = 0
    error: str = Field(default="", max_length=2000)
    hint: str = Field(default="", max_length=2000)
    cost_microdollars: int = Field(default=0, sa_type=BigInteger)
    started_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
