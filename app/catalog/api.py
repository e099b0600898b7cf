"""The models one can launch, as JSON."""

from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter

from app.catalog.facts import hyperparameters
from app.catalog.model import Model
from app.catalog.models import all_models, open_model, toolkits
from app.catalog.shelf import read_shelf
from app.catalog.tuned import tuned_rows
from app.config import settings
from app.trainers._base import Toolkit
from app.trainers._shared import fields_of, lacking
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/models")
def list_models(session: Database, actor: Acting) -> dict[str, Any]:
    """Every model on the grid; `hf/<name or folder>` models need not be listed to be launched, nor a service's
    `<provider>/<model>` and `prompt/<provider>/<model>` where it takes any name."""
    return {"models": [_json(model) for model in all_models(read_shelf(session, actor))]}


@router.get("/models/tuned")
def list_tuned_models(session: Database, actor: Acting) -> dict[str, Any]:
    """The fine-tuned models of the lab's accounts, those that end first at the top. `grid_id` launches one; `stored`:
    how many runs here have asked it."""
    return {"models": [asdict(row) for row in tuned_rows(session, actor, read_shelf(session, actor))]}


@router.get("/trainers")
def list_trainers(actor: Acting) -> dict[str, Any]:
    """Who trains: the built-in trainer and the toolkits, each with its version, its state, the hyperparameters that it
    can express by its own keys, and those of the shared ones that it cannot."""
    built_in = {"name": "builtin", "label": "Built-in", "models": "hf/<model>", "state": ""}
    return {"trainers": [built_in, *(_trainer_json(toolkit) for toolkit in toolkits().values())]}


def _trainer_json(toolkit: Toolkit) -> dict[str, Any]:
    return {
        "name": toolkit.name,
        "label": toolkit.label,
        "description": toolkit.description,
        "models": f"{toolkit.name}/<model>",
        "version": toolkit.version,
        "state": toolkit.state,
        "needs": toolkit.needs,
        "licence": toolkit.licence,
        "source": toolkit.source,
        "python": list(toolkit.environment.python),
        "requirements": list(toolkit.environment.requirements),
        "gigabytes": toolkit.environment.gigabytes,
        "own_python": settings().toolkit_pythons.get(toolkit.name, ""),
        "keys": dict(toolkit.keys),
        "cannot": list(lacking(toolkit)),
        "hyperparameters": [asdict(shape) for shape in fields_of(toolkit)],
    }


@router.get("/models/{model_id:path}")
def get_model(model_id: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One model with its hyperparameters; 404 for a name that is no model's."""
    model = open_model(model_id, read_shelf(session, actor))
    return {**_json(model), "hyperparameters": [asdict(field) for field in hyperparameters(model)]}


def _json(model: Model) -> dict[str, Any]:
    offer = model.offer
    said = {**asdict(replace(model, offer=None)), "available": not model.unavailable}
    said["prices"] = asdict(offer.price) if offer and offer.price else None
    said["context_tokens"] = offer.context_tokens if offer else None
    said.pop("offer")
    return said
