"""Batches of the door: made, listed, cancelled, shown. Called by batch_api.py; the work is in batch_work.py."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.door.batch_lines import ENDPOINT, MOST_BYTES
from app.door.files import BATCH, LEAST_SECONDS, MOST_SECONDS, find_file
from app.door.ids import asked_key, check_labels, find_public, new_id, rows_after, unix
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, owned, require_member
from app.lab.budgets import lock_money
from app.queue import WORK_BATCH, enqueue
from app.tables import DoorBatch, DoorBatchState, DoorFile

WINDOW_SECONDS = 24 * 3600
S = DoorBatchState
# What may still be cancelled.
OPEN = (S.VALIDATING, S.IN_PROGRESS)
ENDS: Mapping[str, str] = {
    S.COMPLETED: "completed_at",
    S.FAILED: "failed_at",
    S.EXPIRED: "expired_at",
    S.CANCELLED: "cancelled_at",
}


class ExpiresAfter(BaseModel):
    """How long the output files stay."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=LEAST_SECONDS, le=MOST_SECONDS)


class BatchAsked(BaseModel):
    """POST /v1/batches, as OpenAI has it."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str = Field(min_length=1, max_length=60)
    endpoint: str = Field(max_length=100)
    completion_window: str = Field(max_length=20)
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None


def create_batch(session: Session, actor: Actor, asked: BatchAsked, key: str | None = None) -> DoorBatch:
    """Makes the batch, whose file is checked next. The same Idempotency-Key again gives the same batch.

    Raises Invalid with the parameter that cannot be used.
    """
    require_member(actor, "make batches")
    _check(asked)
    batch = DoorBatch(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        token_id=actor.token_id or None,
        public_id=new_id("batch_"),
        input_file_id=_input(session, actor, asked.input_file_id).id or 0,
        endpoint=asked.endpoint,
        labels=check_labels(asked.metadata),
        asked_key=asked_key(key),
        output_seconds=asked.output_expires_after.seconds if asked.output_expires_after else None,
        expires_at=in_seconds(WINDOW_SECONDS),
    )
    if batch.asked_key is not None:
        # Two requests with one key at once: the second waits here for the first.
        lock_money(session, actor.project_id)
        if same := session.exec(
            owned(actor, DoorBatch).where(DoorBatch.asked_key == batch.asked_key)
        ).first():
            if same.input_file_id != batch.input_file_id:
                raise Conflict(
                    f"This Idempotency-Key made {same.public_id} of another file.",
                    "Send a new key with a new batch.",
                )
            found: DoorBatch = same
            return found
    session.add(batch)
    session.flush()
    enqueue(session, WORK_BATCH, batch.id or 0)
    return batch


def _check(asked: BatchAsked) -> None:
    if asked.endpoint != ENDPOINT:
        raise Invalid(
            f"Batches for {asked.endpoint!r} are not offered.", f"Write {ENDPOINT!r}.", {"endpoint": ENDPOINT}
        )
    if asked.completion_window != "24h":
        raise Invalid(
            f"The completion window is {asked.completion_window!r}.",
            'Write "24h".',
            {"completion_window": "24h"},
        )


def _input(session: Session, actor: Actor, public_id: str) -> DoorFile:
    """A file for batches; an error names the parameter."""
    param = {"input_file_id": "not a file for batches"}
    try:
        file = find_file(session, actor, public_id)
    except NotFound as error:
        raise Invalid(error.message, error.hint, param) from error
    if file.purpose != BATCH:
        raise Invalid(
            f"The file {public_id} was sent for the purpose {file.purpose!r}.",
            f'Send it again with the purpose "{BATCH}".',
            param,
        )
    if file.size_bytes > MOST_BYTES:
        raise Invalid(
            f"The file is larger than {MOST_BYTES // 2**20} MiB.", "Make several batches of it.", param
        )
    return file


def find_batch(session: Session, actor: Actor, public_id: str) -> DoorBatch:
    """A batch of the actor's project; else NotFound."""
    found: DoorBatch = find_public(session, actor, DoorBatch, public_id, "batch")
    return found


def list_batches(
    session: Session, actor: Actor, after: str | None, limit: int
) -> tuple[list[DoorBatch], bool]:
    """(the project's batches, newest first; whether there are more)."""
    found: list[DoorBatch] = []
    for row in rows_after(session, actor, DoorBatch, after, "batch"):
        if len(found) == limit:
            return found, True
        found.append(row)
    return found, False


def cancel_batch(session: Session, actor: Actor, public_id: str) -> DoorBatch:
    """Asks for the end; what was answered by then can be read. Raises Conflict for one that has ended."""
    require_member(actor, "cancel batches")
    batch = find_batch(session, actor, public_id)
    asked = session.execute(
        update(DoorBatch)
        .where(col(DoorBatch.id) == batch.id, col(DoorBatch.state).in_(OPEN))
        .values(state=S.CANCELLING, cancel_asked_at=now(), due_at=None)
    )
    session.refresh(batch)
    if asked.rowcount == 1:  # type: ignore[attr-defined]
        enqueue(session, WORK_BATCH, batch.id or 0)
    elif batch.state != S.CANCELLING:
        raise Conflict(f"{public_id} is {batch.state} already.", "There is nothing to cancel.")
    return batch


def batches_json(session: Session, batches: list[DoorBatch]) -> list[dict[str, Any]]:
    """OpenAI's batch objects, with the files' ids read at once."""
    names = ("input_file_id", "output_file_id", "error_file_id")
    ids = {id for batch in batches for name in names if (id := getattr(batch, name)) is not None}
    found = session.exec(select(DoorFile.id, DoorFile.public_id).where(col(DoorFile.id).in_(ids)))
    public = {id or 0: public_id for id, public_id in found}
    return [_json(batch, public) for batch in batches]


def _json(batch: DoorBatch, public: Mapping[int, str]) -> dict[str, Any]:
    ended = batch.ended_at is not None
    shown = {
        "id": batch.public_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": public[batch.input_file_id],
        "completion_window": "24h",
        "status": str(batch.state),
        "output_file_id": public.get(batch.output_file_id or 0),
        "error_file_id": public.get(batch.error_file_id or 0),
        "created_at": unix(batch.created_at),
        "in_progress_at": unix(batch.started_at),
        "expires_at": unix(batch.expires_at),
        "finalizing_at": unix(batch.ended_at) if batch.state == S.COMPLETED else None,
        "cancelling_at": unix(batch.cancel_asked_at),
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "usage": _usage(batch) if ended else None,
        "metadata": batch.labels or None,
    }
    shown |= {name: unix(batch.ended_at) for state, name in ENDS.items() if batch.state == state}
    # OpenAI's description has these as left out rather than null.
    return {name: value for name, value in shown.items() if value is not None}


def _usage(batch: DoorBatch) -> dict[str, Any]:
    return {
        "input_tokens": batch.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": batch.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": batch.input_tokens + batch.output_tokens,
    }
