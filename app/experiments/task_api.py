"""The test items of an experiment as tasks of evaluation harnesses, as JSON and as a file."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.experiments.tasks import find_harness, write_task
from app.harnesses import harnesses
from app.lab.actor import find
from app.tables import Experiment
from app.web.own_address import own_address
from app.web.session import Acting, Database
from app.web.written import written

router = APIRouter()


@router.get("/experiments/{experiment_id}/tasks")
def list_tasks(experiment_id: int, session: Database, actor: Acting) -> list[dict[str, Any]]:
    """The harnesses that the test items can be written for, and which log to import afterwards."""
    find(session, actor, Experiment, experiment_id)
    return [
        {"name": kind.name, "label": kind.label, "log": kind.log, "docs_url": kind.docs_url}
        for kind in harnesses().values()
    ]


@router.get("/experiments/{experiment_id}/tasks/{harness}", response_class=Response)
def get_task(
    request: Request, experiment_id: int, harness: str, session: Database, actor: Acting
) -> Response:
    """A zip with the task, its items and the commands that run it; its log is posted to .../predictions."""
    kind = find_harness(harness)
    name = f"experiment-{experiment_id}-{kind.name}.zip"
    return written(
        lambda file: write_task(session, actor, experiment_id, kind, own_address(request), file),
        name,
        "application/zip",
    )
