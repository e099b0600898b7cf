"""Compute on the Settings page: machines that the lab trains on, beside this one."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session
from starlette.datastructures import FormData

from app.errors import Invalid
from app.lab.actor import Actor, find
from app.settings import machines
from app.settings.machine_cards import kinds, machine_cards
from app.settings.machines import NewMachine, computes
from app.tables import Machine
from app.web.forms import Posted, text, whole
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()
PAGE = "/settings/compute"


@router.get("/settings/compute")
def compute_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Every machine with what the last look found, and the kinds that can be added."""
    return _page(request, session, actor)


@router.get("/settings/compute/machines")
def machines_fragment(session: Database, actor: Acting) -> HTMLResponse:
    """The machines, which ask again while one is looked at."""
    return fragment(
        "settings/_machines.html", cards=machine_cards(session, actor), admin=actor.role == "admin"
    )


@router.post("/settings/compute")
def add(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Adds a machine and has it looked at."""
    new = _posted(form, text(form, "kind"), text(form, "name"))
    try:
        machines.add_machine(session, actor, new)
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, new, error)
    return see(f"{PAGE}#machines")


@router.post("/settings/compute/{machine_id}")
def change(request: Request, machine_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Changes a machine; an empty secret keeps the one that is stored."""
    row: Machine = find(session, actor, Machine, machine_id)
    new = _posted(form, row.kind, row.name)
    try:
        machines.change_machine(session, actor, machine_id, new)
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, new, error, machine_id)
    return see(f"{PAGE}#machine-{machine_id}")


@router.post("/settings/compute/{machine_id}/check")
def check(machine_id: int, session: Database, actor: Acting) -> Response:
    """Has it looked at now."""
    machines.ask_check(session, find(session, actor, Machine, machine_id))
    return see(f"{PAGE}#machine-{machine_id}")


@router.post("/settings/compute/{machine_id}/remove")
def remove(machine_id: int, session: Database, actor: Acting) -> Response:
    """Takes it off the list and forgets its secret."""
    machines.remove_machine(session, actor, machine_id)
    return see(f"{PAGE}#machines")


@router.post("/settings/compute/{machine_id}/stop/{launch_key}")
def stop(machine_id: int, launch_key: str, session: Database, actor: Acting) -> Response:
    """Ends a job there that belongs to no run, and removes what it left."""
    machines.stop_orphan(session, actor, machine_id, launch_key)
    return see(f"{PAGE}#machine-{machine_id}")


def _posted(form: FormData, kind: str, name: str) -> NewMachine:
    known = computes()[kind].fields if kind in computes() else ()
    hours = text(form, "deadline_hours", "24")
    return NewMachine(
        name,
        kind,
        # Fields of the kinds stand in one form, each under its kind's name.
        {one.name: _long(form, f"{kind}:{one.name}") for one in known},
        _long(form, f"{kind}:secret") or None,
        whole(form, "slots", 1),
        float(hours) if hours.replace(".", "", 1).isdecimal() else 0.0,
        text(form, "allow_private") == "on",
    )


def _long(form: FormData, name: str) -> str:
    """A text of several lines with its line ends as files have them."""
    return text(form, name).replace("\r\n", "\n")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    posted: NewMachine | None = None,
    error: Invalid | None = None,
    changed: int = 0,
) -> HTMLResponse:
    """`posted` is shown again with the messages of `error`, in the form of the machine `changed` or of a new one."""
    view: dict[str, Any] = {
        "cards": machine_cards(session, actor),
        "kinds": kinds(),
        "by_name": {kind.name: kind for kind in kinds()},
        "posted": posted,
        "changed": changed,
        "errors": error.fields if error else {},
        "message": error.message if error else "",
        "admin": actor.role == "admin",
    }
    return page(request, "settings/compute.html", "Compute", status=status, **view)
