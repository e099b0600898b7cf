"""The settings page: endpoints at which models answer."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.config import settings
from app.errors import Invalid
from app.lab.actor import Actor
from app.settings import budget_routes, endpoints, machine_routes, service_routes
from app.settings.forms import FIELDS, read_endpoint, typed
from app.tables import EndpointState
from app.web.forms import Posted, text
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(machine_routes.router)
router.include_router(service_routes.router)
router.include_router(budget_routes.router)


@router.get("/settings")
def settings_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """Endpoints with their last check, and the form for another."""
    return _page(request, session, actor)


@router.get("/settings/endpoints")
def endpoint_list(session: Database, actor: Acting) -> HTMLResponse:
    """The list, which asks again while a check is under way."""
    return fragment("settings/_endpoints.html", **_lines(session, actor))


@router.post("/settings/endpoints")
def add(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Adds an endpoint."""
    try:
        endpoints.add_endpoint(session, actor, read_endpoint(form))
    except Invalid as error:
        session.rollback()
        return _page(request, session, actor, 422, typed(form), error.fields)
    return see("/settings#endpoints")


@router.post("/settings/endpoints/{endpoint_id}/check")
def check(endpoint_id: int, session: Database, actor: Acting) -> Response:
    """Asks for a check."""
    endpoints.ask_check(session, actor, endpoint_id)
    return see("/settings#endpoints")


@router.post("/settings/endpoints/{endpoint_id}/key")
def new_key(endpoint_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Stores another key."""
    endpoints.replace_key(session, actor, endpoint_id, text(form, "key"))
    return see("/settings#endpoints")


@router.post("/settings/endpoints/{endpoint_id}/remove")
def remove(endpoint_id: int, session: Database, actor: Acting) -> Response:
    """Takes the endpoint off the list and forgets its key."""
    endpoints.remove_endpoint(session, actor, endpoint_id)
    return see("/settings#endpoints")


def _lines(session: Session, actor: Actor) -> dict[str, Any]:
    lines = endpoints.list_endpoints(session, actor)
    return {"lines": lines, "checking": any(line.state == EndpointState.CHECKING for line in lines)}


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    return page(
        request,
        "settings/page.html",
        "Settings",
        status=status,
        values=values or dict.fromkeys(FIELDS, ""),
        errors=errors or {},
        private=settings().allow_private_base_urls,
        **_lines(session, actor),
    )
