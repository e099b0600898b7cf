"""The page that adopts a training made elsewhere. Included by routes.py."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.errors import TunebookError
from app.experiments.adopt import adopt_training
from app.lab.actor import find
from app.tables import Experiment
from app.web.pages import page, see
from app.web.session import Acting, Database
from app.web.upload import Uploading

router = APIRouter()


@router.get("/experiments/{experiment_id}/adopted")
def adopt_page(request: Request, experiment_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """The form."""
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    return page(
        request, "experiments/adopt.html", "Adopt a training", experiment=experiment, error=None, tried={}
    )


@router.post("/experiments/{experiment_id}/adopted")
def adopt(
    request: Request, experiment_id: int, upload: Uploading, session: Database, actor: Acting
) -> Response:
    """Adopts the zip; one that cannot be used is explained on the same page."""
    tried = {name: upload.text(name) for name in ("name", "base")}
    try:
        run = adopt_training(session, actor, experiment_id, tried["name"], upload.path, tried["base"])
    except TunebookError as error:
        if error.status not in (409, 422):
            raise
        session.rollback()
        experiment = find(session, actor, Experiment, experiment_id)
        return page(
            request, "experiments/adopt.html", "Adopt a training", status=error.status,
            experiment=experiment, error=error, tried=tried,
        )  # fmt: skip
    return see(f"/runs/{run.id}")
