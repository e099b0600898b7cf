"""Whether a signed-in browser may see a run, and how the run stands, in one query without objects: for what pages of live
runs ask every few seconds. Called by app/web/watching.py.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, bindparam, select
from sqlmodel import col

from app.clock import now
from app.db import engine
from app.lab.access import in_own_project
from app.lab.sign_in import digest
from app.tables import Run


def standing(secret: str, run_id: int) -> tuple[Any, ...] | None:
    """How the run stands: its keys, state, attempt and whether its cancel was asked; another standing is another
    answer. None when the session's secret does not open this run; the run's own route says why."""
    with engine(False).connect() as connection:
        asked = {"run": run_id, "digest": digest(secret), "moment": now()}
        row = connection.execute(_query(), asked).first()
    return tuple(row) if row else None


@lru_cache
def _query() -> Executable:
    stands = select(
        col(Run.launch_key), col(Run.created_at), col(Run.state), col(Run.attempt), col(Run.cancel_asked)
    )
    mine = in_own_project(col(Run.project_id), bindparam("digest"), bindparam("moment"))
    return stands.where(col(Run.id) == bindparam("run"), mine)
