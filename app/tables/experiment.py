"""One launch: a dataset × a grid of models × seeds."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel, UniqueConstraint

from app.clock import now
from app.tables._base import Json, Owned, UtcTime


class Experiment(Owned, table=True):
    """The unit that a paper's table comes from. Its state is read off its runs."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    dataset_id: int = Field(foreign_key="dataset.id", index=True)
    split_id: int = Field(foreign_key="split.id")
    seeds: list[int] = Field(default_factory=list, sa_type=Json)
    # What was asked, as launched: [{"model": ..., "hyperparameters": {...}}]; a list of values makes a run each.
    grid: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # How it is tested, as app/experiments/designs.py writes it: {"kind": "folds", "folds": 5, ...}
    design: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # How train items are multiplied: {"name": "reorder", "parameters": {...}, "rewrites": 4, "seed": 1}, or {}.
    augment: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    # "validation": test scores and predictions stay hidden until a person unlocks them; "": never hidden.
    choose_on: str = Field(default="", max_length=20)
    unlocked_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
    unlocked_by: int | None = Field(default=None, foreign_key="member.id")
    # How many runs stood in the experiment when it was unlocked.
    unlocked_runs: int = 0
    # Made when the form was shown: a double click or a resent form is one launch.
    launch_key: str = Field(max_length=64, unique=True)


class Look(SQLModel, table=True):
    """Somebody opened test scores on a split. One row until the next launch on that split, so that the rows
    followed by a launch count how often the test set was looked at while choosing."""

    __table_args__ = (UniqueConstraint("split_id", "newest_experiment_id"),)

    id: int | None = Field(default=None, primary_key=True)
    split_id: int = Field(foreign_key="split.id")
    # The newest experiment on the split at that moment.
    newest_experiment_id: int = Field(foreign_key="experiment.id")
    member_id: int = Field(foreign_key="member.id")
    at: datetime = Field(default_factory=now, sa_type=UtcTime)  # type: ignore[call-overload]
