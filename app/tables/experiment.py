"""One launch: a dataset × a grid of models × seeds."""

from typing import Any

from sqlmodel import Field

from app.tables._base import Json, Owned


class Experiment(Owned, table=True):
    """The unit that a paper's table comes from. Its state is read off its runs."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    dataset_id: int = Field(foreign_key="dataset.id", index=True)
    split_id: int = Field(foreign_key="split.id")
    seeds: list[int] = Field(default_factory=list, sa_type=Json)
    # What was asked, as launched: [{"model": ..., "hyperparameters": {...}}]
    grid: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    # Made when the form was shown: a double click or a resent form is one launch.
    launch_key: str = Field(max_length=64, unique=True)
