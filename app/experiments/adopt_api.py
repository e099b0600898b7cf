"""Adopting a training made elsewhere, over the API. Included by api.py."""

from typing import Any

from fastapi import APIRouter

from app.experiments.adopt import adopt_training
from app.web.session import Acting, Database
from app.web.upload import Uploading, upload_body

router = APIRouter()
UPLOAD_BODY = upload_body(
    ("name",), name="what the run is called", base="left out: the model that the folder names"
)


@router.post("/experiments/{experiment_id}/adopted", status_code=201, openapi_extra=UPLOAD_BODY)
def post_adopted(experiment_id: int, upload: Uploading, session: Database, actor: Acting) -> dict[str, Any]:
    """Adopts the zip of a folder that Transformers, TRL or Axolotl wrote (safetensors, adapter_config.json,
    trainer_state.json, training_args.bin, YAML). With predictions.csv in it the run is over at once; else it predicts here."""
    run = adopt_training(session, actor, experiment_id, upload.text("name"), upload.path, upload.text("base"))
    return {"id": run.id, "model": run.model, "state": run.state, "ledger": run.ledger}
