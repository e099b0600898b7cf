"""Runs as JSON under /api/v1."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from app.lab.actor import find
from app.runs import (
    away_api,
    deployments,
    downloads,
    hosted_decide,
    orphans,
    queries,
    reply_service,
    rescue_again,
    service,
)
from app.runs.outputs import read_log
from app.storage import run_folder
from app.tables import Run
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(away_api.router)


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


@router.post("/runs/{run_id}/go-on")
def post_go_on(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Lets a paused run go on now."""
    return _state(hosted_decide.go_on(session, actor, run_id))


@router.post("/runs/{run_id}/fetch-weights", status_code=202)
def post_fetch_weights(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Fetches the weights of a finished run once more, where that was given up."""
    return _state(rescue_again.fetch_again(session, actor, run_id))


@router.post("/runs/{run_id}/adopt")
def post_adopt(run_id: int, body: dict[str, Any], session: Database, actor: Acting) -> dict[str, Any]:
    """{"remote_id": ...}: names the job of a run that is not confirmed; the service is asked before it is believed."""
    return _state(hosted_decide.adopt_job(session, actor, run_id, str(body.get("remote_id") or "")))


@router.post("/runs/{run_id}/create-again")
def post_create_again(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Lets a create that is not confirmed be sent once more; it may be paid twice."""
    return _state(hosted_decide.create_again(session, actor, run_id))


@router.post("/runs/{run_id}/give-up")
def post_give_up(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Ends a paused run, or one whose job is not confirmed."""
    return _state(hosted_decide.give_up(session, actor, run_id))


@router.get("/orphans")
def get_orphans(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """Jobs at services that carry a key of Tunebook's and are no run's job."""
    return [asdict(line) for line in orphans.orphan_lines(session, actor)]


@router.post("/orphans/{orphan_id}/{choice}")
def post_orphan(orphan_id: int, choice: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Decides about one: choice is cancel, adopt or dismiss."""
    orphan = orphans.decide(session, actor, orphan_id, choice)
    return {"id": orphan.id, "state": orphan.state}


def _state(run: Run) -> dict[str, Any]:
    return {"id": run.id, "state": run.state}


@router.get("/runs/{run_id}/replies")
def get_replies(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """How far the questions to a service are: way, counts, errors, batches; {} for a run that asks none."""
    view = reply_service.replies_view(session, find(session, actor, Run, run_id))
    return asdict(view) if view else {}


@router.post("/runs/{run_id}/ask-again")
def post_ask_again(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks again for the items of a finished run that have no answer; {"asked": how many}."""
    return {"id": run_id, "asked": reply_service.ask_again(session, actor, run_id)}


@router.post("/runs/{run_id}/predict-by/{way}")
def post_predict_by(run_id: int, way: str, session: Database, actor: Acting) -> dict[str, Any]:
    """Sends what still waits by "chat" or "batch"."""
    run = reply_service.predict_by(session, actor, run_id, way)
    return {"id": run.id, "state": run.state}


@router.get("/deployments")
def get_deployments(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """What is served for money now, or not known to be stopped, with its cost so far."""
    return [asdict(line) for line in deployments.live_deployments(session, actor)]


@router.post("/deployments/{deployment_id}/stop")
def post_stop_deployment(deployment_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Stops one now; a run that still predicts puts its model to serve again."""
    row = deployments.stop_deployment(session, actor, deployment_id)
    return {"id": row.id, "state": row.state}
