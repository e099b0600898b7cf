"""The models one can launch, as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from app.catalog.facts import hyperparameters
from app.catalog.models import Model, all_models, open_model
from app.web.session import Acting

router = APIRouter()


@router.get("/models")
def list_models(actor: Acting) -> dict[str, Any]:
    """Every model on the grid; `hf/<name or folder>` models need not be listed to be launched."""
    return {"models": [_json(model) for model in all_models()]}


@router.get("/models/{model_id:path}")
def get_model(model_id: str, actor: Acting) -> dict[str, Any]:
    """One model with its hyperparameters; 404 for a name that is no model's."""
    model = open_model(model_id)
    return {**_json(model), "hyperparameters": [asdict(field) for field in hyperparameters(model)]}


def _json(model: Model) -> dict[str, Any]:
    return {**asdict(model), "available": not model.unavailable}
