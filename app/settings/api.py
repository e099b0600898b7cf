"""Endpoints as JSON. A key goes in and never comes out."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.settings import budget_api, endpoints, machine_api, service_api
from app.settings.endpoints import NewEndpoint
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(machine_api.router)
router.include_router(service_api.router)
router.include_router(budget_api.router)


class EndpointBody(BaseModel):
    """A new endpoint. Prices in dollars for a million tokens."""

    name: str
    base_url: str
    model: str
    key: Annotated[str, Field(repr=False)] = ""
    input_price: Annotated[float | None, Field(allow_inf_nan=False)] = None
    output_price: Annotated[float | None, Field(allow_inf_nan=False)] = None


@router.get("/endpoints")
def get_endpoints(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """The endpoints with what their last check found; never their keys."""
    return [asdict(line) for line in endpoints.list_endpoints(session, actor)]


@router.post("/endpoints", status_code=201)
def post_endpoint(body: EndpointBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Adds an OpenAI-compatible endpoint and has it checked."""
    new = NewEndpoint(**body.model_dump())
    return asdict(endpoints.line(endpoints.add_endpoint(session, actor, new)))


@router.post("/endpoints/{endpoint_id}/check", status_code=202)
def check_endpoint(endpoint_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Has the endpoint checked again; its `state` is `checking` until it is."""
    return asdict(endpoints.line(endpoints.ask_check(session, actor, endpoint_id)))


@router.delete("/endpoints/{endpoint_id}", status_code=204)
def delete_endpoint(endpoint_id: int, session: Database, actor: Acting) -> None:
    """Takes the endpoint off the list and forgets its key."""
    endpoints.remove_endpoint(session, actor, endpoint_id)
