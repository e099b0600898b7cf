"""/v1/fine_tuning/jobs as OpenAI has it: each job is an experiment with one run."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from sqlmodel import Session

from app.door.ids import listed
from app.door.tuning import JobAsked, cancel_job, create_job, find_job, jobs
from app.door.tuning_events import checkpoints, job_events
from app.door.tuning_view import JobView, job_json, job_view, job_views
from app.errors import Conflict, NotFound
from app.lab.actor import Actor
from app.web.session import Acting, Database

router = APIRouter()
LABEL = re.compile(r"metadata\[(.*)\]", re.DOTALL)
MOST = 100
Limit = Annotated[int, Query(ge=1, le=MOST)]


@router.post("/fine_tuning/jobs")
def post_job(
    asked: JobAsked,
    session: Database,
    actor: Acting,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> dict[str, Any]:
    """Makes a job; its files are looked at in the background."""
    return job_json(job_view(session, create_job(session, actor, asked, idempotency_key)))


@router.get("/fine_tuning/jobs")
def get_jobs(
    request: Request, session: Database, actor: Acting, after: str | None = None, limit: Limit = 20
) -> dict[str, Any]:
    """The project's jobs, the newest first; `metadata[key]=value` filters, `metadata=null` gives those without any."""
    found = []
    for job in jobs(session, actor, after, _labels(request.query_params)):
        found.append(job)
        if len(found) > limit:
            break
    shown = [job_json(view) for view in job_views(session, found[:limit])]
    return {"object": "list", "data": shown, "has_more": len(found) > limit}


def _labels(query: Mapping[str, str]) -> dict[str, str] | None:
    """What the metadata must hold; None for any."""
    if query.get("metadata") == "null":
        return {}
    found = {match[1]: value for name, value in query.items() if (match := LABEL.fullmatch(name))}
    return found or None


@router.get("/fine_tuning/jobs/{job_id}")
def get_job(job_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One job as it stands."""
    return job_json(_view(session, actor, job_id))


@router.get("/fine_tuning/jobs/{job_id}/events")
def get_events(
    job_id: str, session: Database, actor: Acting, after: str | None = None, limit: Limit = 20
) -> dict[str, Any]:
    """What happened, the newest first; `after` an event's id gives older ones."""
    return _page(job_events(session, _view(session, actor, job_id)), after, limit, "event")


@router.get("/fine_tuning/jobs/{job_id}/checkpoints")
def get_checkpoints(
    job_id: str, session: Database, actor: Acting, after: str | None = None, limit: Limit = 10
) -> dict[str, Any]:
    """The model that was kept, with its step and losses."""
    found = _page(checkpoints(session, _view(session, actor, job_id)), after, limit, "checkpoint")
    ends = listed(found["data"], found["has_more"])
    return {**found, "first_id": ends["first_id"], "last_id": ends["last_id"]}


@router.post("/fine_tuning/jobs/{job_id}/cancel")
def post_cancel(job_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks for its end; it is cancelled once its process has ended."""
    return job_json(job_view(session, cancel_job(session, actor, job_id)))


@router.post("/fine_tuning/jobs/{job_id}/pause")
@router.post("/fine_tuning/jobs/{job_id}/resume")
def post_pause(job_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Refused: a run goes on or is cancelled."""
    find_job(session, actor, job_id)
    raise Conflict(
        "A tuning job cannot be paused or resumed here.",
        "Cancel it; its run can be started again on its page.",
    )


def _view(session: Session, actor: Actor, job_id: str) -> JobView:
    return job_view(session, find_job(session, actor, job_id))


def _page(found: list[dict[str, Any]], after: str | None, limit: int, what: str) -> dict[str, Any]:
    """The rows behind the one with the id `after`."""
    start = 0
    if after:
        places = [number for number, each in enumerate(found) if each["id"] == after]
        if not places:
            raise NotFound(f"There is no {what} {after[:100]!r} of this job.", "List them to see the ids.")
        start = places[0] + 1
    data = found[start : start + limit]
    return {"object": "list", "data": data, "has_more": len(found) > start + limit}
