"""How scripts reach the door, how much they use it, and the old names that they still call models by."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.door.aliases import list_aliases, remove_alias, set_alias
from app.door.targets import list_targets
from app.door.usage import DAYS, door_usage
from app.errors import Invalid
from app.lab.actor import Actor
from app.tables import Project
from app.web.forms import Posted, text
from app.web.own_address import own_address
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
# Names that the page shows; /v1/models gives them all.
SHOWN = 12


@router.get("/door")
def connect_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """The address, a script to start from, and what was asked lately."""
    models = [each.asked for each in list_targets(session, actor)]
    project = session.get(Project, actor.project_id)
    return page(
        request,
        "door/connect.html",
        "Connect a script",
        address=f"{own_address(request)}/v1",
        models=models[:SHOWN],
        more=len(models) - SHOWN,
        usage=door_usage(session, actor),
        days=DAYS,
        records=bool(project and project.records_answers),
        project_id=actor.project_id,
        is_admin=actor.is_admin,
    )


@router.get("/door/names")
def names_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Old names and what answers to them."""
    return _names(request, session, actor, {}, {})


@router.post("/door/names")
def map_name(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Maps a name, or maps it anew."""
    given = {name: text(form, name) for name in ("name", "model", "note")}
    try:
        set_alias(session, actor, given["name"], given["model"], given["note"])
    except Invalid as error:
        session.rollback()
        return _names(request, session, actor, given, error.fields)
    return see("/door/names")


@router.post("/door/names/{alias_id}/remove")
def unmap_name(alias_id: int, session: Database, actor: Acting) -> Response:
    """Takes a name away."""
    remove_alias(session, actor, alias_id)
    return see("/door/names")


def _names(
    request: Request, session: Session, actor: Actor, given: dict[str, str], wrong: dict[str, str]
) -> HTMLResponse:
    lines = list_aliases(session, actor)
    models = [each.model for each in list_targets(session, actor) if each.asked == each.model][:200]
    return page(
        request,
        "door/names.html",
        "Old names",
        status=422 if wrong else 200,
        lines=lines,
        models=models,
        given=given,
        wrong=wrong,
    )
