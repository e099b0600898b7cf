"""Changes and downloads of a run. Its page needs scores and stands in app/evaluations/routes.py."""

import msgspec
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from app.runs import (
    away_routes,
    downloads,
    hosted_decide,
    orphans,
    queries,
    reply_service,
    rescue_again,
    service,
)
from app.runs.chart import DRAWN, loss_chart, readings
from app.web.forms import Posted, text
from app.web.pages import fragment, see
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(away_routes.router)


@router.get("/runs/{run_id}/series.json")
def series(run_id: int, session: Database, actor: Acting) -> Response:
    """The loss curves as the live chart reads them."""
    found = queries.curves(session, actor, run_id, DRAWN)
    return Response(msgspec.json.encode(loss_chart(found)), media_type="application/json")


@router.get("/runs/{run_id}/curves")
def curves(run_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """The newest readings below the chart; the region asks again while the run is under way."""
    found = queries.curves(session, actor, run_id)
    return fragment("runs/_curves.html", run_id=run_id, active=found["active"], readings=readings(found))


@router.post("/runs/{run_id}/cancel")
def cancel(run_id: int, session: Database, actor: Acting) -> Response:
    """Asks for the run's end."""
    service.cancel_run(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/retry")
def retry(run_id: int, session: Database, actor: Acting) -> Response:
    """Starts a failed or cancelled run again."""
    service.retry_run(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/go-on")
def go_on(run_id: int, session: Database, actor: Acting) -> Response:
    """Lets a paused run go on."""
    hosted_decide.go_on(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/fetch-weights")
def fetch_weights(run_id: int, session: Database, actor: Acting) -> Response:
    """Fetches the weights of a finished run once more."""
    rescue_again.fetch_again(session, actor, run_id)
    return see(f"/runs/{run_id}#service")


@router.post("/runs/{run_id}/adopt")
def adopt(run_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Names the job at the service that belongs to a run which is not confirmed."""
    hosted_decide.adopt_job(session, actor, run_id, text(form, "remote_id"))
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/create-again")
def create_again(run_id: int, session: Database, actor: Acting) -> Response:
    """Lets a create that is not confirmed be sent once more."""
    hosted_decide.create_again(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/give-up")
def give_up(run_id: int, session: Database, actor: Acting) -> Response:
    """Ends a run whose job nobody can find or reach."""
    hosted_decide.give_up(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/ask-again")
def ask_again(run_id: int, session: Database, actor: Acting) -> Response:
    """Asks again for the items that have no answer."""
    reply_service.ask_again(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/predict-by/{way}")
def predict_by(run_id: int, way: str, session: Database, actor: Acting) -> Response:
    """Sends what still waits by chat or by batch."""
    reply_service.predict_by(session, actor, run_id, way)
    return see(f"/runs/{run_id}")


@router.post("/runs/orphans/{orphan_id}/{choice}")
def decide_orphan(orphan_id: int, choice: str, session: Database, actor: Acting) -> Response:
    """Cancels, adopts or dismisses a job at a service that belongs to no run."""
    orphans.decide(session, actor, orphan_id, choice)
    return see("/#orphans")


@router.get("/runs/{run_id}/bundle.zip")
def bundle(run_id: int, session: Database, actor: Acting) -> Response:
    """The bundle, which repeats the run without Tunebook."""
    return downloads.bundle_zip(session, actor, run_id)


@router.get("/runs/{run_id}/weights.zip")
def weights(run_id: int, session: Database, actor: Acting) -> Response:
    """The adapter or model."""
    return downloads.weights_zip(session, actor, run_id)


@router.get("/runs/{run_id}/files/{name}")
def file(run_id: int, name: str, session: Database, actor: Acting) -> Response:
    """One small file of the run."""
    return downloads.run_file(session, actor, run_id, name)
