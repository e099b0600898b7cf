"""The reply rows of a run: made once, written once each, and what they sum to. Used by all steps of predicting."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.datasets.items import PART_NAMES
from app.runs.prepare import predicted_parts
from app.tables import DeploymentRow, DeploymentState, RemoteBatchRow, ReplyRow, ReplyState, Run, Split

BATCH = 5_000
ERROR_KEPT = 1_000


@dataclass(frozen=True)
class Counts:
    """How many items there are, and how many have an answer or none for good."""

    waiting: int = 0
    answered: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.answered + self.failed


def make_rows(session: Session, run: Run) -> None:
    """A waiting row for each item of the parts that the run predicts, unless they are there already."""
    if session.exec(select(ReplyRow.number).where(ReplyRow.run_id == run.id).limit(1)).first() is not None:
        return
    split = session.get_one(Split, run.split_id)
    for part in predicted_parts(session, run):
        code = PART_NAMES.index(part)
        rows = [
            {"run_id": run.id, "part": part, "number": number, "state": ReplyState.WAITING, "attempts": 0}
            for number, own in enumerate(split.parts)
            if own == code
        ]
        for start in range(0, len(rows), BATCH):
            session.execute(insert(ReplyRow), rows[start : start + BATCH])


def count(session: Session, run_id: int) -> Counts:
    """How far the run's questions are."""
    found = session.exec(
        select(ReplyRow.state, func.count()).where(ReplyRow.run_id == run_id).group_by(ReplyRow.state)
    ).all()
    return Counts(**{str(state): number for state, number in found})


def waiting(
    session: Session, run_id: int, most: int, skip: frozenset[tuple[str, int]] = frozenset()
) -> list[ReplyRow]:
    """Rows that wait and are in no batch, the least tried first, without those of `skip`."""
    rows = session.exec(
        select(ReplyRow)
        .where(
            ReplyRow.run_id == run_id,
            ReplyRow.state == ReplyState.WAITING,
            col(ReplyRow.batch_id).is_(None),
        )
        .order_by(col(ReplyRow.attempts), col(ReplyRow.part), col(ReplyRow.number))
        .limit(most + len(skip))
    )
    return [row for row in rows if (row.part, row.number) not in skip][:most]


FIELDS = (
    "state",
    "attempts",
    "answer",
    "p",
    "logprob",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "error",
)
_TABLE: Any = ReplyRow.__table__  # type: ignore[attr-defined]
# A row is written while it waits and never again.
_WRITE = (
    update(_TABLE)
    .where(
        _TABLE.c.run_id == bindparam("b_run"),
        _TABLE.c.part == bindparam("b_part"),
        _TABLE.c.number == bindparam("b_number"),
        _TABLE.c.state == ReplyState.WAITING,
    )
    .values({name: bindparam(f"b_{name}") for name in (*FIELDS, "batch_id")})
)


def write(
    session: Session,
    run: Run,
    results: Iterable[tuple[str, int, dict[str, Any]]],
    batch_id: int | None = None,
) -> None:
    """Stores (part, number, values) of rows that still wait; what `values` lacks becomes empty."""
    rows = [
        {
            "b_run": run.id,
            "b_part": part,
            "b_number": number,
            # An item that is given up is in no batch: it may be asked again by any way.
            "b_batch_id": None if values.get("state") == ReplyState.FAILED else batch_id,
            **{f"b_{name}": values.get(name) for name in FIELDS},
        }
        for part, number, values in results
    ]
    for start in range(0, len(rows), BATCH):
        session.connection().execute(_WRITE, rows[start : start + BATCH])


def rows_of(session: Session, run_id: int, part: str) -> list[ReplyRow]:
    """All rows of one part in the order of the items."""
    return list(
        session.exec(
            select(ReplyRow)
            .where(ReplyRow.run_id == run_id, ReplyRow.part == part)
            .order_by(col(ReplyRow.number))
        )
    )


def forget_replies(session: Session, run_id: int) -> None:
    """Removes all answers and batches of a run that starts again; a deployment is left to be stopped."""
    session.execute(delete(ReplyRow).where(col(ReplyRow.run_id) == run_id))
    session.execute(delete(RemoteBatchRow).where(col(RemoteBatchRow.run_id) == run_id))
    stop_deployments(session, run_id)


def stop_deployments(session: Session, run_id: int) -> None:
    """Has what the run put to serve stopped: workers/deployments.py does it, whatever becomes of the run."""
    live = (DeploymentState.STARTING, DeploymentState.RUNNING, DeploymentState.UNKNOWN)
    session.execute(
        update(DeploymentRow)
        .where(col(DeploymentRow.run_id) == run_id, col(DeploymentRow.state).in_(live))
        .values(state=DeploymentState.STOPPING, due_at=None)
    )


def note_down(session: Session, run: Run, **values: Any) -> None:
    """Keeps what predicting has settled under "predicting" in the run's snapshot, in the database and in `run`."""
    snapshot = session.exec(select(Run.snapshot).where(Run.id == run.id)).one()
    run.snapshot = {**snapshot, "predicting": {**(snapshot.get("predicting") or {}), **values}}
    session.execute(update(Run).where(col(Run.id) == run.id).values(snapshot=run.snapshot))


def noted(run: Run, name: str) -> Any:
    """What predicting has settled, or None."""
    return (run.snapshot.get("predicting") or {}).get(name)


def again(session: Session, run: Run, seconds: float = 0.0, **values: Any) -> None:
    """The run's next step may be taken after so many seconds, and not before, whoever nudges it."""
    later = in_seconds(seconds) if seconds > 0 else None
    note_down(session, run, wait_until=later.isoformat() if later else None)
    here = (col(Run.id) == run.id, col(Run.state) == run.state)
    session.execute(update(Run).where(*here).values(due_at=later, **values))


def too_early(run: Run) -> datetime | None:
    """When the next step may be taken, if that is not yet."""
    written = noted(run, "wait_until")
    later = datetime.fromisoformat(written) if written else None
    return later if later and later > now() else None
