"""Which model answers to a name at the door, and what is needed to ask it. Called by the chat, the list and jobs."""

import re
from dataclasses import replace

from sqlmodel import Session, col, select

from app.catalog.hosted import ended
from app.catalog.models import all_models, find_model
from app.catalog.offered import PROMPT, askable, endpoint_offer
from app.catalog.shelf import read_shelf
from app.door.runs import list_runs, run_target
from app.door.target import ENDPOINT, HOSTED, LOCAL, Service, Target
from app.errors import Invalid, ModelNotFound, Unavailable
from app.lab.actor import Actor, owned
from app.providers._endpoint import endpoint_access, endpoint_provider
from app.settings.access import access_for
from app.tables import Endpoint, ModelAlias
from app.vault import unseal

LONGEST_NAME = 300
# "run-12", and what a tuning job answers as its model: "ft:starter/tiny:lab::run-12". Nine digits fit every database.
RUN = re.compile(r"(?:.*::)?run-(\d{1,9})", re.DOTALL)
LISTED = "GET /v1/models lists what answers."


def find_target(session: Session, actor: Actor, name: str) -> Target:
    """The model that answers to `name` in the actor's project: an old name's successor, a run's, or one of the catalog.
    Raises ModelNotFound; Unavailable where it cannot answer now."""
    name = name.strip()
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise ModelNotFound(
            "A model's name has 1 to 300 characters of one line.", LISTED, {"model": "not a name"}
        )
    successor = session.exec(
        select(ModelAlias.model).where(ModelAlias.project_id == actor.project_id, ModelAlias.name == name)
    ).first()
    try:
        return _find(session, actor, successor or name, name)
    except ModelNotFound as error:
        if successor:
            error.message = f"{name} stands for {successor}: {error.message}"
        error.fields = {"model": "no such model"}
        raise


def _find(session: Session, actor: Actor, name: str, asked: str) -> Target:
    if found := RUN.fullmatch(name):
        return run_target(session, actor, int(found[1]), asked)
    name = name.removeprefix(f"{PROMPT}/")
    place, _, model = name.partition("/")
    if place == ENDPOINT and model:
        return _endpoint(session, actor, model, asked)
    if place == "hf" and model:
        return _local_base(actor, name, asked)
    return _hosted(session, actor, place, model, asked)


def _endpoint(session: Session, actor: Actor, name: str, asked: str) -> Target:
    row = session.exec(
        owned(actor, Endpoint).where(Endpoint.name == name, col(Endpoint.removed_at).is_(None))
    ).first()
    if row is None:
        raise ModelNotFound(f"There is no endpoint {name[:100]!r}.", LISTED)
    offer = endpoint_offer(row)
    provider = endpoint_provider(row.name, row.base_url, row.model, offer.price)
    access = endpoint_access(row.name, row.base_url, unseal(row.sealed_key))
    service = Service(provider, access, offer, row.model)
    created = int(row.created_at.timestamp())
    return Target(
        ENDPOINT,
        f"{ENDPOINT}/{row.name}",
        asked,
        actor.project_id,
        owned_by=row.name,
        created=created,
        service=service,
    )


def _local_base(actor: Actor, name: str, asked: str) -> Target:
    """A model of TUNEBOOK_MODEL_DIRS or of the Hub's cache as it is, not tuned."""
    try:
        model = find_model(name)
    except Invalid as error:
        raise ModelNotFound(error.message, LISTED) from error
    if model.unavailable:
        raise Unavailable(f"{name} cannot be loaded: {model.unavailable}.", "See /models.")
    weights = {"id": model.id, "kind": "hub", "bundle": None, "adapter": None, "base": model.path}
    return Target(LOCAL, model.id, asked, actor.project_id, weights=weights)


def _hosted(session: Session, actor: Actor, place: str, model: str, asked: str) -> Target:
    shop = read_shelf(session, actor).shops.get(place)
    offer = shop.offer(model) if shop and model else None
    if shop is None or offer is None:
        raise ModelNotFound(f"No model answers to {asked[:100]!r}.", _hint(session, actor, asked))
    if shop.provider.chat is None or not offer.can_chat:
        raise ModelNotFound(f"{shop.provider.label} answers no chat with {model[:100]!r}.", LISTED)
    if shop.lacking:
        raise Unavailable(f"{shop.provider.label} {shop.lacking}.", "An admin enters it under Settings.")
    if ended(offer.ends_on):
        raise ModelNotFound(f"{shop.provider.label} ended {model} on {offer.ends_on}.", LISTED)
    access, _, private = access_for(session, shop.provider, actor.project_id, actor.member_id)
    service = Service(shop.provider, access, offer, offer.model, bool(offer.base), private)
    return Target(
        HOSTED,
        f"{place}/{offer.model}",
        asked,
        actor.project_id,
        owned_by=place,
        created=int(offer.created_at or 0),
        service=service,
    )


def _hint(session: Session, actor: Actor, asked: str) -> str:
    """For a bare name, the service's model of that name."""
    shelf = read_shelf(session, actor)
    for name, shop in shelf.shops.items():
        if asked in shop.offers and shop.provider.chat:
            return f"Did you mean {name}/{asked}? Or map this name to a model under Settings."
    return f"{LISTED} An old name can be mapped to a model: POST /api/v1/aliases."


def list_targets(session: Session, actor: Actor) -> list[Target]:
    """Every model that answers by name: runs, endpoints, hosted models with a key, local models, old names."""
    shelf = read_shelf(session, actor)
    found = list_runs(session, actor)
    for row in shelf.endpoints.values():
        name = f"{ENDPOINT}/{row.name}"
        created = int(row.created_at.timestamp())
        found.append(Target(ENDPOINT, name, name, actor.project_id, None, row.name, created))
    for name, shop in shelf.shops.items():
        if shop.lacking:
            continue
        for offer in askable(shop):
            full = f"{name}/{offer.model}"
            if not ended(offer.ends_on):
                created = int(offer.created_at or 0)
                found.append(Target(HOSTED, full, full, actor.project_id, None, name, created))
    for model in all_models():
        if model.kind == "hf" and not model.unavailable:
            found.append(Target(LOCAL, model.id, model.id, actor.project_id))
    return found + _old_names(session, actor, {each.model: each for each in found})


def _old_names(session: Session, actor: Actor, known: dict[str, Target]) -> list[Target]:
    rows = session.exec(owned(actor, ModelAlias).order_by(col(ModelAlias.name)))
    return [
        replace(known[row.model], asked=row.name, created=int(row.created_at.timestamp()))
        for row in rows
        if row.model in known and row.name not in known
    ]
