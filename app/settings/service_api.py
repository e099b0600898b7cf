"""Hosted services as JSON. A key goes in and never comes out."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.settings import keys
from app.settings.keys import NewKey, find_provider
from app.settings.services import ServiceCard, list_services, service_card
from app.web.session import Acting, Database

router = APIRouter()


class KeyBody(BaseModel):
    """A key for a provider. `fields`: what the service needs beside it, by the names of its fields."""

    model_config = ConfigDict(hide_input_in_errors=True)

    key: Annotated[str, Field(repr=False, max_length=4000)] = ""
    fields: dict[str, str] = {}
    for_lab: bool = True


class PlaceBody(BaseModel):
    """Where a provider is and whether it is used; what is left out stays. `base_url` "": the published one."""

    enabled: bool | None = None
    base_url: str | None = Field(None, max_length=500)
    allow_private: bool | None = None


@router.get("/providers")
def get_providers(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """Every provider with its address and what the checks of its keys found; never a key."""
    return [_json(card) for card in list_services(session, actor)]


@router.get("/providers/{name}")
def get_provider(name: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One provider."""
    find_provider(name)
    return _json(service_card(session, actor, name))


@router.patch("/providers/{name}")
def patch_provider(name: str, body: PlaceBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Sets its address, or turns it on or off. Keys stay with the host that they were entered for."""
    keys.set_provider(session, actor, name, body.enabled, body.base_url, body.allow_private)
    return _json(service_card(session, actor, name))


@router.post("/providers/{name}/keys", status_code=201)
def post_key(name: str, body: KeyBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Stores a key in the place of the one before and has it checked; `state` is `checking` until it is."""
    keys.store_key(session, actor, name, NewKey(body.key, body.fields, body.for_lab))
    return _json(service_card(session, actor, name))


@router.post("/keys/{credential_id}/check", status_code=202)
def check_key(credential_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Has the key checked again."""
    return _json(service_card(session, actor, keys.ask_check(session, actor, credential_id).provider))


@router.delete("/keys/{credential_id}", status_code=204)
def delete_key(credential_id: int, session: Database, actor: Acting) -> None:
    """Forgets the key; runs that need it wait for another."""
    keys.remove_key(session, actor, credential_id)


def _json(card: ServiceCard) -> dict[str, Any]:
    return {**asdict(card), "state": card.state[0]}
