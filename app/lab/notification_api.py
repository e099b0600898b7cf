"""The member's notifications as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.lab.notifications import list_notes, mark_read
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/notifications")
def get_notifications(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """The newest hundred, newest first."""
    return [asdict(line) for line in list_notes(session, actor)]


@router.post("/notifications/{note_id}/read", status_code=204)
def post_read(note_id: int, session: Database, actor: Acting) -> None:
    """It is read from now on; one that is not the member's changes nothing."""
    mark_read(session, actor, note_id)
