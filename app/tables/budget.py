"""Money: what may be spent, and what runs have reserved and cost."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.tables._base import Owned, UtcTime


class Period(StrEnum):
    """Over what time a cap counts."""

    TOTAL = "total"
    MONTH = "month"


class Budget(Owned, table=True):
    """A cap on what a lab's project, one of its members, one experiment or each single run may cost. Which of them:
    `scope` is lab, member, experiment or run."""

    id: int | None = Field(default=None, primary_key=True)
    scope: str = Field(max_length=20)
    member_id: int | None = Field(default=None, foreign_key="member.id", index=True)
    experiment_id: int | None = Field(default=None, foreign_key="experiment.id", index=True)
    cap_microdollars: int = Field(sa_type=BigInteger)
    period: str = Field(default=Period.TOTAL, max_length=20)
    # Whether a launch whose price nobody knows is allowed under this budget.
    allow_unknown: bool = False


class Reservation(SQLModel, table=True):
    """What a run may cost at most, taken from the budgets when it was launched, and what it did cost."""

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    member_id: int = Field(foreign_key="member.id", index=True)
    experiment_id: int = Field(foreign_key="experiment.id", index=True)
    provider: str = Field(max_length=40)
    reserved_microdollars: int = Field(sa_type=BigInteger)
    # False: the price was not known and an admin allowed it all the same.
    price_known: bool = True
    spent_microdollars: int = Field(default=0, sa_type=BigInteger)
    # What earlier tries of the run have cost; the other two are of the last one.
    earlier_microdollars: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcTime)  # type: ignore[call-overload]
    # Set when nothing more can be spent: from then on only what was spent counts.
    settled_at: datetime | None = Field(default=None, sa_type=UtcTime)  # type: ignore[call-overload]
