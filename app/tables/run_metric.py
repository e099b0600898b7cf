"""Points of a run's live curves."""

from sqlmodel import Field, SQLModel


class RunMetric(SQLModel, table=True):
    """One value at one step. A resumed run that passes a step again replaces its points."""

    __table_args__ = {"sqlite_with_rowid": False}

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    name: str = Field(max_length=40, primary_key=True)
    step: int = Field(primary_key=True)
    value: float
