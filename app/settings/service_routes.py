"""Hosted services on the Settings page: their keys, their addresses, whether they are used."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.errors import Invalid
from app.lab.actor import Actor
from app.settings import keys
from app.settings.keys import NewKey, find_provider
from app.settings.services import list_services, service_card
from app.web.forms import Posted, text
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/settings/services")
def services_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Every provider with its keys and its address."""
    return _page(request, session, actor)


@router.get("/settings/services/{name}/keys")
def keys_fragment(name: str, session: Database, actor: Acting) -> HTMLResponse:
    """One provider's keys, which ask again while a check is under way."""
    find_provider(name)
    return fragment("settings/_keys.html", card=service_card(session, actor, name))


@router.post("/settings/services/{name}/key")
def store(request: Request, name: str, session: Database, actor: Acting, form: Posted) -> Response:
    """Stores a key in the place of the one before, and has it checked."""
    provider = find_provider(name)
    fields = {each.name: text(form, f"field:{each.name}") for each in provider.fields}
    new = NewKey(text(form, "key"), fields, for_lab=text(form, "whose") != "me")
    try:
        keys.store_key(session, actor, name, new)
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, name, fields, error)
    return see(f"/settings/services#{name}")


@router.post("/settings/services/{name}/place")
def place(request: Request, name: str, session: Database, actor: Acting, form: Posted) -> Response:
    """Sets where the service is, and whether it is used."""
    base_url = text(form, "base_url")
    enabled, private = text(form, "enabled") == "on", text(form, "allow_private") == "on"
    try:
        keys.set_provider(session, actor, name, enabled, base_url, private)
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, name, {"base_url": base_url}, error)
    return see(f"/settings/services#{name}")


@router.post("/settings/keys/{credential_id}/check")
def check(credential_id: int, session: Database, actor: Acting) -> Response:
    """Asks for a check."""
    return see(f"/settings/services#{keys.ask_check(session, actor, credential_id).provider}")


@router.post("/settings/keys/{credential_id}/remove")
def remove(credential_id: int, session: Database, actor: Acting) -> Response:
    """Forgets the key."""
    name = keys.find_key(session, actor, credential_id).provider
    keys.remove_key(session, actor, credential_id)
    return see(f"/settings/services#{name}")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    wrong: str = "",
    values: dict[str, str] | None = None,
    error: Invalid | None = None,
) -> HTMLResponse:
    """`wrong`: the provider whose form is shown again with `values` and the messages of `error`."""
    view: dict[str, Any] = {
        "cards": list_services(session, actor),
        "wrong": wrong,
        "values": values or {},
        "errors": error.fields if error else {},
        "message": error.message if error else "",
        "admin": actor.role == "admin",
    }
    return page(request, "settings/services.html", "Services", status=status, **view)
