"""Exports of a run as JSON under /api/v1. Included by api.py."""

from typing import Any

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from app.exports.downloads import export_download
from app.exports.page import export_json
from app.exports.push_now import push_now
from app.exports.service import exports_of, queue_export
from app.lab.actor import find
from app.tables import Export
from app.web.session import Acting, Database

router = APIRouter()


class ExportAsked(BaseModel):
    """An export to make: kind merged, gguf (precision fp16 or fp32), cog, model-card, push-model or push-dataset
    (repo, private), tensorboard, wandb, or mlflow (url, experiment). Cards take license, language and dataset_repo.
    `token` is used once and never stored; of mlflow it is a bearer token, or name:password."""

    kind: str
    precision: str | None = Field(None, max_length=10)
    repo: str | None = Field(None, max_length=200)
    private: bool = True
    license: str | None = Field(None, max_length=100)
    language: str | None = Field(None, max_length=20)
    dataset_repo: str | None = Field(None, max_length=200)
    url: str | None = Field(None, max_length=500)
    experiment: str | None = Field(None, max_length=250)
    token: str | None = Field(None, max_length=500, repr=False)


@router.post("/runs/{run_id}/exports", status_code=202)
def post_export(
    run_id: int, asked: ExportAsked, background: BackgroundTasks, session: Database, actor: Acting
) -> dict[str, Any]:
    """Queues an export; look at it until its state is ready or failed. The same again gives the same."""
    wanted = asked.model_dump(exclude={"kind", "token"}, exclude_none=True)
    export = queue_export(session, actor, run_id, asked.kind, wanted, once=bool(asked.token))
    if asked.token:
        background.add_task(push_now, export.id or 0, asked.token)
    return export_json(export)


@router.get("/runs/{run_id}/exports")
def get_exports(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """A run's exports, newest first."""
    return {"exports": [export_json(export) for export in exports_of(session, actor, run_id)]}


@router.get("/exports/{export_id}")
def get_export(export_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """One export: state, progress, file, where it was pushed."""
    return export_json(find(session, actor, Export, export_id))


@router.get("/exports/{export_id}/file")
def get_export_file(export_id: int, session: Database, actor: Acting) -> FileResponse:
    """The finished file."""
    return export_download(session, actor, export_id)
