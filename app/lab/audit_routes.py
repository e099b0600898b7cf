"""The audit log's page with its filter, and the same as CSV."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from app.cells import csv_text, guarded
from app.db import new_session
from app.lab.audit import ACTIONS, PAGE, AuditFilter, all_audit, list_audit, members_and_projects
from app.web.csv_download import csv_response
from app.web.pages import page
from app.web.session import Acting, Database

router = APIRouter()
COLUMNS = ("id", "time", "member", "by", "project", "action", "object", "object_id", "about")


def chosen_filter(
    member: str = "", project: str = "", action: str = "", noun: str = "", first: str = "", last: str = ""
) -> AuditFilter:
    """The filter of a page's address; what is no number or no day narrows nothing."""
    return AuditFilter(_id(member), _id(project), action[:40], noun[:40], first[:10], last[:10])


Chosen = Annotated[AuditFilter, Depends(chosen_filter)]


@router.get("/lab/audit")
def audit_page(
    request: Request, session: Database, actor: Acting, chosen: Chosen, before: int | None = None
) -> HTMLResponse:
    """Who did what, newest first."""
    lines = list_audit(session, actor, chosen, before)
    members, projects = members_and_projects(session)
    query = _query(chosen)
    return page(
        request, "lab/audit.html", "Audit log",
        lines=lines, chosen=chosen, query=query, first=before is None,
        members=[("", "everybody"), *((str(row), name) for row, name in members)],
        projects=[("", "all"), *((str(row), name) for row, name in projects)],
        actions=[("", "everything"), *((action, action) for action in ACTIONS)],
        older=f"/lab/audit?{urlencode({**query, 'before': lines[-1].id})}" if len(lines) == PAGE else "",
        newer="" if before is None else f"/lab/audit?{urlencode(query)}",
        download=f"/lab/audit.csv?{urlencode(query)}",
    )  # fmt: skip


@router.get("/lab/audit.csv")
def audit_csv(session: Database, actor: Acting, chosen: Chosen) -> StreamingResponse:
    """Every entry that the filter lets through, streamed in a session of its own."""
    all_audit(session, actor, chosen)

    def rows() -> Iterator[tuple[str | int | None, ...]]:
        with new_session(write=False) as own:
            for line in all_audit(own, actor, chosen):
                about = json.dumps(line.about, ensure_ascii=False) if line.about else ""
                said = (line.member, line.by, line.project, line.action, line.noun)
                yield (line.id, line.at.isoformat(), *map(guarded, said), line.object_id, guarded(about))

    return csv_response(csv_text(COLUMNS, rows()), "audit-log.csv")


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _query(chosen: AuditFilter) -> dict[str, str]:
    names = {"member_id": "member", "project_id": "project", "first_day": "first", "last_day": "last"}
    return {names.get(name, name): str(value) for name, value in asdict(chosen).items() if value}
