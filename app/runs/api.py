"""Runs as JSON under /api/v1."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from app.runs import downloads, queries, service
from app.runs.outputs import read_log
from app.storage import run_folder
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/runs/{run_id}/metrics")
def get_metrics(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """The live curves: {"state", "active", "series": {"loss": [[step, value], ...], ...}}."""
    return queries.curves(session, actor, run_id)


@router.get("/runs/{run_id}/log", response_class=PlainTextResponse)
def get_log(run_id: int, session: Database, actor: Acting) -> str:
    """The whole log as text."""
    queries.curves(session, actor, run_id)
    return read_log(run_folder(run_id))


@router.get("/runs/{run_id}/bundle.zip")
def get_bundle(run_id: int, session: Database, actor: Acting) -> Response:
    """The bundle: repeats the run and its predictions without Tunebook."""
    return downloads.bundle_zip(session, actor, run_id)


@router.get("/runs/{run_id}/weights.zip")
def get_weights(run_id: int, session: Database, actor: Acting) -> Response:
    """The adapter or model as safetensors."""
    return downloads.weights_zip(session, actor, run_id)


@router.get("/runs/{run_id}/files/{name}")
def get_file(run_id: int, name: str, session: Database, actor: Acting) -> Response:
    """config.json, metrics.jsonl, log.txt, resolved.json or environment.json."""
    return downloads.run_file(session, actor, run_id, name)


@router.post("/runs/{run_id}/cancel")
def post_cancel(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks for the run's end; it is cancelled once its process has ended."""
    run = service.cancel_run(session, actor, run_id)
    return {"id": run.id, "state": run.state, "cancel_asked": True}


@router.post("/runs/{run_id}/retry")
def post_retry(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Starts a failed or cancelled run again from the beginning."""
    run = service.retry_run(session, actor, run_id)
    return {"id": run.id, "state": run.state}
