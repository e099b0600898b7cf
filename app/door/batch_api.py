"""/v1/batches as OpenAI has it: many questions in one file, answered in the background."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from sqlmodel import Session

from app.door.batches import BatchAsked, batches_json, cancel_batch, create_batch, find_batch, list_batches
from app.door.ids import listed
from app.tables import DoorBatch
from app.web.session import Acting, Database

router = APIRouter()


@router.post("/batches")
def post_batch(
    asked: BatchAsked,
    session: Database,
    actor: Acting,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> dict[str, Any]:
    """Makes a batch of a file's lines; the file is checked first, in the background."""
    return _one(session, create_batch(session, actor, asked, idempotency_key))


@router.get("/batches")
def get_batches(
    session: Database,
    actor: Acting,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """The project's batches, the newest first."""
    found, more = list_batches(session, actor, after, limit)
    return listed(batches_json(session, found), more)


@router.get("/batches/{batch_id}")
def get_batch(batch_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One batch as it stands."""
    return _one(session, find_batch(session, actor, batch_id))


@router.post("/batches/{batch_id}/cancel")
def post_cancel(batch_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks for its end; what was answered by then is in its output file."""
    return _one(session, cancel_batch(session, actor, batch_id))


def _one(session: Session, batch: DoorBatch) -> dict[str, Any]:
    return batches_json(session, [batch])[0]
