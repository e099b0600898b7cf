"""Projects and the member's own API tokens as JSON."""

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.lab import projects
from app.lab.tokens import DAYS, MOST_DAYS, MOST_DOLLARS, end_api_token, list_api_tokens, make_api_token
from app.web.session import Acting, Database

router = APIRouter()


class ProjectBody(BaseModel):
    """A project's name."""

    name: str = Field(max_length=1000)


class ProjectChange(BaseModel):
    """What changes of a project; the rest stays."""

    name: str | None = Field(None, max_length=1000)
    archived: bool | None = None
    # Whether what is asked and answered at /v1 is kept.
    records_answers: bool | None = None


class TokenBody(BaseModel):
    """An API token for the project that is acted in. `scope` "read" only looks; it ends after `days`. `budget`: dollars that
    it may spend at /v1 in all; null: only the lab's budgets say."""

    name: str = Field(max_length=1000)
    scope: Literal["read", "write"] = "write"
    days: int = Field(DAYS, ge=1, le=MOST_DAYS)
    budget: float | None = Field(None, ge=0, le=MOST_DOLLARS)


@router.get("/projects")
def get_projects(session: Database, actor: Acting) -> dict[str, Any]:
    """The projects that are open to you; `current` is the one this token works in."""
    return {"projects": [asdict(line) for line in projects.list_projects(session, actor)]}


@router.post("/projects", status_code=201)
def post_project(body: ProjectBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Makes a project."""
    made = projects.make_project(session, actor, body.name)
    return get_project(made.id or 0, session, actor)


@router.get("/projects/{project_id}")
def get_project(project_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """One project with its members."""
    found = projects.view_project(session, actor, project_id)
    members = [{"id": key, "name": name, "role": role} for key, name, role in found.members]
    return {**asdict(found.line), "members": members}


@router.patch("/projects/{project_id}")
def patch_project(project_id: int, body: ProjectChange, session: Database, actor: Acting) -> dict[str, Any]:
    """Renames a project, archives it or opens it again, has it keep what is asked at /v1 or not."""
    if body.name is not None:
        projects.rename_project(session, actor, project_id, body.name)
    if body.archived is not None:
        projects.archive_project(session, actor, project_id, body.archived)
    if body.records_answers is not None:
        projects.record_answers(session, actor, project_id, body.records_answers)
    return get_project(project_id, session, actor)


@router.put("/projects/{project_id}/members/{member_id}", status_code=204)
def put_project_member(project_id: int, member_id: int, session: Database, actor: Acting) -> None:
    """Opens a project to a member."""
    projects.add_to_project(session, actor, project_id, member_id)


@router.delete("/projects/{project_id}/members/{member_id}", status_code=204)
def delete_project_member(project_id: int, member_id: int, session: Database, actor: Acting) -> None:
    """Closes a project to a member, at once."""
    projects.remove_from_project(session, actor, project_id, member_id)


@router.get("/tokens")
def get_tokens(session: Database, actor: Acting) -> dict[str, Any]:
    """Your API tokens that are not over, of all your projects; never their secrets."""
    return {"tokens": [asdict(line) for line in list_api_tokens(session, actor)]}


@router.post("/tokens", status_code=201)
def post_token(body: TokenBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Makes a token; `secret` is shown this once."""
    secret = make_api_token(session, actor, body.name, body.scope, body.days, body.budget)
    return {"token": asdict(list_api_tokens(session, actor)[0]), "secret": secret}


@router.delete("/tokens/{token_id}", status_code=204)
def delete_token(token_id: int, session: Database, actor: Acting) -> None:
    """Ends one of your tokens, at once."""
    end_api_token(session, actor, token_id)
