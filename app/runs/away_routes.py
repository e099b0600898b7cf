"""What a person does with a run on another machine: upload its results, take its notebook, decide about a lost answer."""

from fastapi import APIRouter
from fastapi.responses import Response

from app.runs import away_tidy, by_hand, downloads
from app.web.pages import see
from app.web.session import Acting, Database
from app.web.upload import Uploading

router = APIRouter()


@router.post("/runs/{run_id}/results")
def results(run_id: int, session: Database, actor: Acting, upload: Uploading) -> Response:
    """Takes out.zip of a run that was done by hand."""
    by_hand.take_results(session, actor, run_id, upload.path)
    return see(f"/runs/{run_id}")


@router.post("/runs/{run_id}/send-again")
def send_again(run_id: int, session: Database, actor: Acting) -> Response:
    """Lets a submit that is not confirmed be sent once more."""
    away_tidy.send_again(session, actor, run_id)
    return see(f"/runs/{run_id}")


@router.get("/runs/{run_id}/notebook.ipynb")
def notebook(run_id: int, session: Database, actor: Acting) -> Response:
    """The bundle as one notebook."""
    return downloads.notebook_file(session, actor, run_id)
