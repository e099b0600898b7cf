"""Experiments as JSON: plan, launch, look, import predictions."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Response, UploadFile
from pydantic import BaseModel, Field

from app.datasets.queries import find_split
from app.evaluations.views import scores_json
from app.experiments.imports import import_predictions
from app.experiments.plan import GridRow, Plan
from app.experiments.queries import ExperimentView, experiment_view, list_experiments
from app.experiments.service import LaunchRequest, launch_experiment, plan_experiment
from app.web.session import Acting, Database

router = APIRouter()


class ModelAsked(BaseModel):
    """One model of the grid; hyperparameters that are left out are chosen for the data."""

    model: str
    hyperparameters: dict[str, Any] = {}


class ExperimentAsked(BaseModel):
    """A launch. `split` is a split's id or name; left out: the dataset's first."""

    dataset_id: int
    split: int | str | None = None
    name: str = Field("", max_length=200)
    models: list[ModelAsked]
    seeds: list[int] = [1]
    dry_run: bool = False
    launch_key: str | None = Field(None, min_length=8, max_length=64)


@router.get("/experiments")
def get_experiments(session: Database, actor: Acting, before: int | None = None) -> dict[str, Any]:
    """The newest experiments, 50 at most; `before` an id gives older ones."""
    return {"experiments": list_experiments(session, actor, before)}


@router.post("/experiments", status_code=201)
def post_experiment(
    asked: ExperimentAsked, response: Response, session: Database, actor: Acting
) -> dict[str, Any]:
    """Launches, or with `dry_run` only says what would be launched."""
    split = find_split(session, actor, asked.dataset_id, asked.split)
    request = LaunchRequest(
        asked.dataset_id,
        split.id or 0,
        asked.name,
        [GridRow(row.model, row.hyperparameters) for row in asked.models],
        asked.seeds,
    )
    if asked.launch_key:
        request = LaunchRequest(**{**request.__dict__, "launch_key": asked.launch_key})
    if asked.dry_run:
        response.status_code = 200
        return plan_json(plan_experiment(session, actor, request))
    experiment = launch_experiment(session, actor, request)
    return experiment_json(experiment_view(session, actor, experiment.id or 0))


@router.get("/experiments/{experiment_id}")
def get_experiment(experiment_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """An experiment with its runs and their scores."""
    return experiment_json(experiment_view(session, actor, experiment_id))


@router.post("/experiments/{experiment_id}/predictions", status_code=201)
def post_predictions(
    experiment_id: int,
    file: UploadFile,
    model: Annotated[str, Form(max_length=100)],
    session: Database,
    actor: Acting,
) -> dict[str, Any]:
    """Imports predictions made elsewhere (CSV, JSON or JSONL) as `imported/<model>`."""
    run, matched_by = import_predictions(session, actor, experiment_id, model, file.file)
    return {"id": run.id, "model": run.model, "state": run.state, "matched_by": matched_by}


def experiment_json(view: ExperimentView) -> dict[str, Any]:
    """An experiment as the API gives it."""
    return {
        "id": view.id,
        "name": view.name,
        "dataset_id": view.dataset.id,
        "split": {
            "id": view.split.id,
            "name": view.split.name,
            "sha256": view.split.sha256,
            "counts": view.split.counts,
        },
        "state": view.state,
        "seeds": view.seeds,
        "models": view.grid,
        "runs": [
            {
                "id": row.run_id,
                "model": row.model,
                "seed": row.seed,
                "state": row.state,
                "progress": row.progress,
                "scores": scores_json(row),
            }
            for row in view.rows
        ],
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan as the API gives it; times and money are for one seed of each model and in total."""
    return {
        "runs": plan.runs,
        "seconds": plan.seconds,
        "cost_microdollars": plan.microdollars,
        "problems": plan.problems,
        "remarks": plan.remarks,
        "models": [
            {
                "model": row.model.id,
                "seeds": row.seeds,
                "hyperparameters": row.values,
                "ledger": row.ledger,
                "estimate": row.estimate,
                "problems": row.problems,
            }
            for row in plan.rows
        ],
    }
