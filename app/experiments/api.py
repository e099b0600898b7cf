"""Experiments as JSON: plan, launch, look, import predictions."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from app.catalog.shelf import read_shelf
from app.datasets.queries import find_split
from app.datasets.validation import FromTrain
from app.errors import Invalid
from app.experiments import task_api
from app.experiments.adopt_api import router as adopt_router
from app.experiments.convert import convert
from app.experiments.designs import read_design
from app.experiments.experiment_file import dataset_by_hash, experiment_yaml, settled_row, split_by_hash
from app.experiments.imports import import_predictions
from app.experiments.launch_page import ask_about_models
from app.experiments.lock import unlock_test
from app.experiments.queries import experiment_view, list_experiments
from app.experiments.rendered import rendered_plan
from app.experiments.service import LaunchRequest, data_of, launch_experiment, plan_experiment
from app.experiments.views import conversion_json, experiment_json, plan_json
from app.lab.actor import Actor
from app.tables import Split
from app.web.session import Acting, Database
from app.web.upload import Uploading, upload_body
from app.web.yaml_body import YamlBody

router = APIRouter(route_class=YamlBody)
router.include_router(task_api.router)
router.include_router(adopt_router)
UPLOAD_BODY = upload_body(("model",), model="what the run is called: imported/<model>")


class ModelAsked(BaseModel):
    """One model of the grid; hyperparameters that are left out are chosen for the data. With `asked`, only those
    named there count as chosen by a person, as a file of an experiment has it."""

    model: str
    hyperparameters: dict[str, Any] = {}
    asked: list[str] | None = None
    # The name of the compute where it trains; left out: this machine, or its service.
    compute: str = Field("", max_length=60)


class DatasetNamed(BaseModel):
    """A dataset by the SHA-256 of its file."""

    sha256: str = Field(min_length=64, max_length=64)
    name: str = ""


class SplitNamed(BaseModel):
    """A split by its hash; drawn anew from kind and parameters where it is not there."""

    sha256: str = Field(min_length=64, max_length=64)
    name: str = Field("", max_length=100)
    kind: str = ""
    parameters: dict[str, Any] = {}


class ExperimentAsked(BaseModel):
    """A launch. `split` is a split's id, name or hash; left out: the dataset's first. The same may come as YAML
    (content type application/yaml), with `dataset` by hash in place of `dataset_id`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataset_id": 1, "models": [{"model": "baseline/majority"}]}]}
    )

    dataset_id: int | None = None
    dataset: DatasetNamed | None = None
    split: int | str | SplitNamed | None = None
    name: str = Field("", max_length=200)
    models: list[ModelAsked]
    seeds: list[int] = [1]
    # {"kind": "folds", "folds": 5, "seed": 1}, {"kind": "groups", "key": "family"}, {"kind": "sizes"}; see docs.
    design: dict[str, Any] = {}
    # {"name": "reorder", "rewrites": 4, "seed": 1, "parameters": {...}}: train items only.
    augment: dict[str, Any] = {}
    # "validation": test scores stay hidden until the test set is unlocked.
    choose_on: str = Field("", max_length=20)
    # The share of train that becomes the validation part, for a file that names none; and the seed of the draw.
    validation_from_train: float = Field(0.0, ge=0, lt=1)
    validation_seed: int = Field(1, ge=0, lt=2**31)
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
    """Launches, or with `dry_run` only says what would be launched, and asks services for the limits of its models."""
    chosen = _split(session, actor, asked)
    dataset, split = data_of(session, actor, chosen.dataset_id, chosen.id or 0)
    request = LaunchRequest(
        chosen.dataset_id,
        chosen.id or 0,
        asked.name,
        [
            settled_row(row.model, row.hyperparameters, row.asked, dataset, split, row.compute)
            for row in asked.models
        ],
        asked.seeds,
        design=read_design(asked.design),
        augment=asked.augment,
        choose_on=asked.choose_on,
        validation=FromTrain(asked.validation_from_train, asked.validation_seed),
    )
    if asked.launch_key:
        request = LaunchRequest(**{**request.__dict__, "launch_key": asked.launch_key})
    if asked.dry_run:
        response.status_code = 200
        plan = plan_experiment(session, actor, request)
        ask_about_models(session, plan, read_shelf(session, actor))
        return plan_json(plan, rendered_plan(session, actor, request, plan))
    experiment = launch_experiment(session, actor, request)
    return experiment_json(experiment_view(session, actor, experiment.id or 0))


def _split(session: Session, actor: Actor, asked: ExperimentAsked) -> Split:
    if asked.dataset_id is None and asked.dataset is None:
        raise Invalid(
            "No dataset is named.",
            "Give `dataset_id`, or `dataset` with its sha256.",
            {"dataset_id": "needed"},
        )
    dataset_id = asked.dataset_id
    if asked.dataset is not None and dataset_id is None:
        dataset_id = dataset_by_hash(session, actor, asked.dataset.sha256, asked.dataset.name).id
    if isinstance(asked.split, SplitNamed):
        named = asked.split
        return split_by_hash(
            session, actor, dataset_id or 0, named.sha256, named.kind, named.name, named.parameters
        )
    return find_split(session, actor, dataset_id or 0, asked.split)


@router.get("/experiments/{experiment_id}/experiment.yaml", response_class=PlainTextResponse)
def get_experiment_yaml(experiment_id: int, session: Database, actor: Acting) -> PlainTextResponse:
    """The experiment as one file; posted to /experiments as application/yaml it is launched again."""
    return PlainTextResponse(experiment_yaml(session, actor, experiment_id), media_type="application/yaml")


@router.get("/experiments/{experiment_id}")
def get_experiment(experiment_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """An experiment with its runs and their scores."""
    return experiment_json(experiment_view(session, actor, experiment_id))


@router.post("/experiments/{experiment_id}/unlock")
def post_unlock(experiment_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Shows the test scores of an experiment that chose on validation. Who, when and after how many runs stays
    recorded."""
    unlock_test(session, actor, experiment_id)
    return experiment_json(experiment_view(session, actor, experiment_id))


@router.post("/experiments/{experiment_id}/predictions", status_code=201, openapi_extra=UPLOAD_BODY)
def post_predictions(
    experiment_id: int,
    upload: Uploading,
    session: Database,
    actor: Acting,
) -> dict[str, Any]:
    """Imports predictions made elsewhere (CSV, JSON or JSONL) as `imported/<model>`."""
    with upload.path.open("rb") as file:
        run, matched_by = import_predictions(session, actor, experiment_id, upload.text("model"), file)
    return {"id": run.id, "model": run.model, "state": run.state, "matched_by": matched_by}


@router.get("/runs/{run_id}/convert")
def get_conversion(run_id: int, to: str, session: Database, actor: Acting) -> dict[str, Any]:
    """A run beside what the trainer `to` (`builtin`, or a toolkit's name) would be given for it: both configurations,
    each setting under both trainers' keys, and what has no equal. Nothing is launched."""
    return conversion_json(convert(session, actor, run_id, to))
