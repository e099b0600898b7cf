"""The audit log as JSON, for admins."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.lab.audit import PAGE, AuditFilter, list_audit
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/audit")
def get_audit(
    session: Database,
    actor: Acting,
    member_id: int = 0,
    project_id: int = 0,
    action: str = "",
    noun: str = "",
    first_day: str = "",
    last_day: str = "",
    before: int | None = None,
) -> dict[str, Any]:
    """The newest 50 entries, or those before an id; days are UTC, as 2026-11-25. `next` is the `before` to go on with."""
    chosen = AuditFilter(member_id, project_id, action, noun, first_day, last_day)
    lines = list_audit(session, actor, chosen, before)
    return {
        "entries": [asdict(line) for line in lines],
        "next": lines[-1].id if len(lines) == PAGE else None,
    }
