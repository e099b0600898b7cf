"""Pages of projects: the list, one project with its members, and entering one."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.errors import Invalid
from app.lab import projects
from app.lab.actor import Actor
from app.web.forms import Posted, text, whole
from app.web.local_path import local_path
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/lab/projects")
def projects_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """The projects that are open to the member."""
    return _list(request, session, actor)


@router.post("/lab/projects")
def make_project(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Makes a project and shows it."""
    try:
        made = projects.make_project(session, actor, text(form, "name"))
    except Invalid as error:
        return _list(request, session, actor, 422, text(form, "name"), error.fields)
    return see(f"/lab/projects/{made.id}")


@router.get("/lab/projects/{project_id}")
def project_page(request: Request, project_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """One project and who is in it."""
    return _one(request, session, actor, project_id)


@router.post("/lab/projects/{project_id}/rename")
def rename_project(
    request: Request, project_id: int, session: Database, actor: Acting, form: Posted
) -> Response:
    """Gives it another name."""
    try:
        projects.rename_project(session, actor, project_id, text(form, "name"))
    except Invalid as error:
        return _one(request, session, actor, project_id, 422, text(form, "name"), error.fields)
    return see(f"/lab/projects/{project_id}")


@router.post("/lab/projects/{project_id}/archive")
def archive_project(project_id: int, session: Database, actor: Acting) -> Response:
    """Closes it to changes."""
    projects.archive_project(session, actor, project_id, archived=True)
    return see(f"/lab/projects/{project_id}")


@router.post("/lab/projects/{project_id}/reopen")
def reopen_project(project_id: int, session: Database, actor: Acting) -> Response:
    """Opens an archived one again."""
    projects.archive_project(session, actor, project_id, archived=False)
    return see(f"/lab/projects/{project_id}")


@router.post("/lab/projects/{project_id}/answers")
def record_answers(project_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Has what is asked and answered at /v1 kept, or not."""
    projects.record_answers(session, actor, project_id, text(form, "records") == "on")
    return see(f"/lab/projects/{project_id}#answers")


@router.post("/lab/projects/{project_id}/members")
def add_member(request: Request, project_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Opens the project to a member."""
    try:
        projects.add_to_project(session, actor, project_id, whole(form, "member"))
    except Invalid as error:
        return _one(request, session, actor, project_id, 422, None, error.fields)
    return see(f"/lab/projects/{project_id}")


@router.post("/lab/projects/{project_id}/members/{member_id}/remove")
def remove_member(project_id: int, member_id: int, session: Database, actor: Acting) -> Response:
    """Closes the project to a member."""
    projects.remove_from_project(session, actor, project_id, member_id)
    return see(f"/lab/projects/{project_id}")


@router.post("/lab/projects/{project_id}/enter")
def enter_project(project_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """This browser works in the project from now on; goes on to the form's `next`, a path of ours."""
    projects.enter_project(session, actor, project_id)
    return see(local_path(text(form, "next")))


def _list(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    name: str = "",
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    return page(
        request,
        "lab/projects.html",
        "Projects",
        status=status,
        lines=projects.list_projects(session, actor),
        actor=actor,
        name=name,
        errors=errors or {},
    )


def _one(
    request: Request,
    session: Session,
    actor: Actor,
    project_id: int,
    status: int = 200,
    name: str | None = None,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    found = projects.view_project(session, actor, project_id)
    return page(
        request,
        "lab/project.html",
        found.line.name,
        status=status,
        view=found,
        actor=actor,
        choices=[(str(key), f"{other}, {role}") for key, other, role in found.others],
        name=found.line.name if name is None else name,
        errors=errors or {},
    )
