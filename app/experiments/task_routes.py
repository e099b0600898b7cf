"""The test items of an experiment as tasks of evaluation harnesses: the page's downloads."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.experiments.tasks import find_harness, write_task
from app.web.own_address import own_address
from app.web.session import Acting, Database
from app.web.written import written

router = APIRouter()


@router.get("/experiments/{experiment_id}/tasks/{harness}.zip")
def task_file(
    request: Request, experiment_id: int, harness: str, session: Database, actor: Acting
) -> Response:
    """A folder with the task, its items and the commands that run it."""
    kind = find_harness(harness)
    name = f"experiment-{experiment_id}-{kind.name}.zip"
    return written(
        lambda file: write_task(session, actor, experiment_id, kind, own_address(request), file),
        name,
        "application/zip",
    )
