"""Compute and trainers as JSON. A secret goes in and never comes out."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.lab.actor import find
from app.settings import machines
from app.settings.machine_cards import MachineCard, machine_cards
from app.settings.machines import MachineState, NewMachine, computes
from app.tables import Machine
from app.web.session import Acting, Database

router = APIRouter()


class MachineBody(BaseModel):
    """A machine. `fields` by the names that GET /compute gives for its kind; `secret` left out keeps the stored one."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str = Field("", max_length=60)
    kind: str = Field("", max_length=40)
    fields: dict[str, str] = {}
    secret: Annotated[str | None, Field(repr=False, max_length=12_000)] = None
    slots: int = 1
    deadline_hours: float = 24.0
    allow_private: bool = False


@router.get("/compute")
def get_compute(session: Database, actor: Acting) -> dict[str, Any]:
    """The kinds of places with their fields, and the lab's machines with what the last look found."""
    return {
        "kinds": [
            {
                "name": kind.name,
                "label": kind.label,
                "description": kind.description,
                "fields": [asdict(one) for one in kind.fields],
                "secret": kind.secret_label,
                "secret_required": kind.secret_required,
                "paid": kind.paid,
                "deadline_kept_by": kind.deadline_kept_by,
                "unverified": kind.unverified,
                "help_url": kind.help_url,
            }
            for kind in computes().values()
        ],
        "machines": [_json(card) for card in machine_cards(session, actor)],
    }


@router.post("/compute", status_code=201)
def post_machine(body: MachineBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Adds a machine and has it looked at; `state` is `checking` until it is."""
    return _one(session, actor, machines.add_machine(session, actor, NewMachine(**body.model_dump())).id)


@router.patch("/compute/{machine_id}")
def patch_machine(machine_id: int, body: MachineBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Sets everything but its name and kind."""
    row: Machine = find(session, actor, Machine, machine_id)
    new = NewMachine(**{**body.model_dump(), "name": row.name, "kind": row.kind})
    return _one(session, actor, machines.change_machine(session, actor, machine_id, new).id)


@router.post("/compute/{machine_id}/check", status_code=202)
def check_machine(machine_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Has it looked at now."""
    return _one(session, actor, machines.ask_check(session, find(session, actor, Machine, machine_id)).id)


@router.post("/compute/{machine_id}/stop/{launch_key}", status_code=202)
def stop_job(machine_id: int, launch_key: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Ends a job there that belongs to no run."""
    return _one(session, actor, machines.stop_orphan(session, actor, machine_id, launch_key).id)


@router.delete("/compute/{machine_id}", status_code=204)
def delete_machine(machine_id: int, session: Database, actor: Acting) -> None:
    """Takes it off the list and forgets its secret; refused while runs are there."""
    machines.remove_machine(session, actor, machine_id)


def _one(session: Database, actor: Acting, machine_id: int | None) -> dict[str, Any]:
    return next(_json(card) for card in machine_cards(session, actor) if card.id == machine_id)


def _json(card: MachineCard) -> dict[str, Any]:
    return {**asdict(card), "state": str(MachineState(card.state))}
