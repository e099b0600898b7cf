"""GET /v1/models and /v1/models/<name>, as OpenAI lists its models."""

from typing import Any

from fastapi import APIRouter

from app.door.target import Target
from app.door.targets import find_target, list_targets
from app.door.tuning import base_model
from app.errors import Invalid, ModelNotFound
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/models")
def list_models(session: Database, actor: Acting) -> dict[str, Any]:
    """Every model that answers to this token's project."""
    return {"object": "list", "data": [_json(each) for each in list_targets(session, actor)]}


@router.get("/models/{name:path}")
def get_model(name: str, session: Database, actor: Acting) -> dict[str, Any]:
    """One model, by any name that /v1/chat/completions or /v1/fine_tuning/jobs takes; 404 for a name that is none."""
    try:
        return _json(find_target(session, actor, name))
    except ModelNotFound as error:
        try:
            model = base_model(session, actor, name)
        except Invalid:
            raise error from None
        return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider or "tunebook"}


def _json(target: Target) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": target.asked,
        "object": "model",
        "created": target.created,
        "owned_by": target.owned_by,
    }
    if target.asked != target.model:
        found["served_by"] = target.model
    return found
