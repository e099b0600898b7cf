"""Experiments: the list, the launch page with its plan, one experiment with its leaderboard."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.errors import TunebookError
from app.evaluations.columns import leaderboard_table
from app.experiments import adopt_routes, task_routes
from app.experiments.clone import form_of_run
from app.experiments.convert import convert, trainer_label, trainers_for
from app.experiments.experiment_file import experiment_yaml
from app.experiments.forms import LaunchForm, asked_launch, read_launch_form
from app.experiments.imports import import_predictions
from app.experiments.launch_page import ask_about_models, launch_page
from app.experiments.lock import unlock_test
from app.experiments.queries import PAGE, experiment_view, list_experiments
from app.experiments.service import launch_experiment
from app.lab.actor import Actor, find
from app.tables import Run
from app.web.forms import Posted
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database
from app.web.upload import Uploading

router = APIRouter()
router.include_router(task_routes.router)
router.include_router(adopt_routes.router)
Subset = Literal["all", "unseen"]
Models = Annotated[Sequence[str], Query()]
MOST_TICKED = 200


@router.get("/experiments")
def list_page(request: Request, session: Database, actor: Acting, before: int | None = None) -> HTMLResponse:
    """The newest experiments."""
    lines = list_experiments(session, actor, before)
    older = f"/experiments?before={lines[-1].id}" if len(lines) == PAGE else ""
    return page(
        request, "experiments/list.html", "Experiments", lines=lines, older=older, first=before is None
    )


@router.get("/experiments/new")
def new_page(
    request: Request,
    session: Database,
    actor: Acting,
    models: Models = (),
    dataset: int = 0,
    split: int = 0,
    clone: int = 0,
    trainer: str = "",
) -> HTMLResponse:
    """The launch page of a dataset, with these models ticked; with `clone`, filled in with a run's own model, seed and
    settings, by another `trainer` where one is named."""
    ticked = tuple(dict.fromkeys(models))[:MOST_TICKED]
    form = form_of_run(session, actor, clone, trainer) if clone else LaunchForm(dataset, split, models=ticked)
    view = launch_page(session, actor, form)
    return page(request, "experiments/new.html", "New experiment", view=view)


@router.get("/experiments/convert")
def convert_page(request: Request, session: Database, actor: Acting, run: int, to: str = "") -> HTMLResponse:
    """A run beside what another trainer would be given for it."""
    found: Run = find(session, actor, Run, run)
    others = trainers_for(found.model)
    shown: dict[str, Any] = {"view": None, "run_id": run, "choices": [], "labels": {}}
    if others:
        view = convert(session, actor, run, to or others[0][0])
        own = view.model.trainer
        shown |= {"view": view, "labels": {**dict(others), own: trainer_label(own)}}
        shown["choices"] = [
            (label, f"/experiments/convert?run={run}&to={name}", view.other.trainer == name, None)
            for name, label in others
        ]
    return page(request, "experiments/convert.html", f"Run {run}, another trainer", **shown)


@router.post("/experiments/plan")
def plan_fragment(session: Database, actor: Acting, form: Posted) -> HTMLResponse:
    """The plan for what is ticked now; asked for by the page at every change."""
    view = launch_page(session, actor, read_launch_form(form), tiles=False)
    ask_about_models(session, view.plan, view.shelf)
    return fragment("experiments/_plan.html", view=view)


@router.post("/experiments")
def launch(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Launches; the same form twice is one launch. A form that cannot be launched is shown again."""
    choice = read_launch_form(form)
    if form.get("action") == "plan":
        return _form_again(request, session, actor, choice, 200)
    try:
        experiment = launch_experiment(session, actor, asked_launch(choice))
    except TunebookError as error:
        if error.status != 422:
            raise
        return _form_again(request, session, actor, choice, 422)
    return see(f"/experiments/{experiment.id}")


def _form_again(
    request: Request, session: Session, actor: Actor, choice: LaunchForm, status: int
) -> HTMLResponse:
    view = launch_page(session, actor, choice)
    return page(request, "experiments/new.html", "New experiment", status=status, view=view)


@router.get("/experiments/{experiment_id}")
def experiment_page(
    request: Request, experiment_id: int, session: Database, actor: Acting, subset: Subset = "all"
) -> HTMLResponse:
    """One experiment: its runs as a leaderboard, on all test items or on those not seen in train."""
    view = experiment_view(session, actor, experiment_id, subset)
    table = leaderboard_table(view.rows, view.dataset.task)
    return page(request, "experiments/page.html", view.name, view=view, table=table, import_error=None)


@router.get("/experiments/{experiment_id}/experiment.yaml")
def experiment_file(experiment_id: int, session: Database, actor: Acting) -> Response:
    """The experiment as one file that `tunebook launch` takes."""
    headers = {"content-disposition": f'attachment; filename="experiment-{experiment_id}.yaml"'}
    text = experiment_yaml(session, actor, experiment_id)
    return Response(text, headers=headers, media_type="application/yaml")


@router.get("/experiments/{experiment_id}/leaderboard")
def leaderboard_fragment(
    experiment_id: int, session: Database, actor: Acting, subset: Subset = "all"
) -> HTMLResponse:
    """The leaderboard alone; it asks again while anything is under way."""
    view = experiment_view(session, actor, experiment_id, subset)
    table = leaderboard_table(view.rows, view.dataset.task)
    return fragment("experiments/_leaderboard.html", view=view, table=table)


@router.post("/experiments/{experiment_id}/unlock")
def unlock(experiment_id: int, session: Database, actor: Acting) -> Response:
    """Shows the test scores of an experiment that chose on validation."""
    unlock_test(session, actor, experiment_id)
    return see(f"/experiments/{experiment_id}")


@router.post("/experiments/{experiment_id}/predictions")
def import_file(
    request: Request,
    experiment_id: int,
    upload: Uploading,
    session: Database,
    actor: Acting,
) -> Response:
    """Imports predictions made elsewhere; a file that cannot be used is explained on the same page."""
    try:
        with upload.path.open("rb") as file:
            import_predictions(session, actor, experiment_id, upload.text("model"), file)
    except TunebookError as error:
        if error.status not in (409, 422):
            raise
        session.rollback()
        view = experiment_view(session, actor, experiment_id)
        table = leaderboard_table(view.rows, view.dataset.task)
        return page(
            request,
            "experiments/page.html",
            view.name,
            status=error.status,
            view=view,
            table=table,
            import_error=error,
        )
    return see(f"/experiments/{experiment_id}")
