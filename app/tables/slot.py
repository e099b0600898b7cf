"""Places to train on the workers' machines: a run holds one while its process may run."""

from sqlmodel import Field, SQLModel


class Slot(SQLModel, table=True):
    """Taken by a conditional update, so that two workers never give one place to two runs."""

    id: int | None = Field(default=None, primary_key=True)
    # The machine that the place is on, and so the only one that looks after its run; "" where there is only one.
    machine: str = Field(default="", max_length=200, index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", unique=True)
