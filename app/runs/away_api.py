"""Runs on other machines as JSON under /api/v1."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from app.runs import away_tidy, by_hand, downloads
from app.web.session import Acting, Database
from app.web.upload import Uploading, upload_body

router = APIRouter()
ZIP = upload_body((), file="the folder `out` of the bundle, zipped")


@router.post("/runs/{run_id}/results", openapi_extra=ZIP)
def post_results(run_id: int, session: Database, actor: Acting, upload: Uploading) -> dict[str, Any]:
    """Takes out.zip of a run whose compute is "by hand"; it then goes on to its scores."""
    run = by_hand.take_results(session, actor, run_id, upload.path)
    return {"id": run.id, "state": run.state}


@router.post("/runs/{run_id}/send-again")
def post_send_again(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Lets a submit that is not confirmed be sent once more to the run's compute."""
    run = away_tidy.send_again(session, actor, run_id)
    return {"id": run.id, "state": run.state}


@router.get("/runs/{run_id}/notebook.ipynb")
def get_notebook(run_id: int, session: Database, actor: Acting) -> Response:
    """The bundle as one notebook, for Colab."""
    return downloads.notebook_file(session, actor, run_id)
