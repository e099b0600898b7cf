"""Places to train on this machine: a run holds one while its process may run."""

from sqlmodel import Field, SQLModel


class Slot(SQLModel, table=True):
    """Taken by a conditional update, so that two workers never give one place to two runs."""

    id: int = Field(primary_key=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", unique=True)
