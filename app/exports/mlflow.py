"""A run sent to a lab's MLflow tracking server by its REST API. Used by kinds.py.

The MLflow run carries our launch key as tag, so that sent again it is found and completed, never made twice.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from app.cells import csv_text
from app.db import new_session, session_scope
from app.errors import AlreadyThere, Conflict, Gone, Invalid, Refused
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import cells, header
from app.exports.tracked import Tracked, tracked
from app.exports.work import Made, Work
from app.lab.actor import Actor
from app.outside import clean_base_url, outside_client
from app.service_http import Access, Api

T = TypeVar("T")
API, ARTIFACTS = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
KEY = "tunebook.key"
# What MLflow takes in one call, and in one value.
METRICS, PARAMS, LONGEST = 1000, 100, 6000
SECONDS = 60.0
FILES = ("config.json", "environment.json", "resolved.json")


def check_mlflow(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """{"url", "experiment"}; raises Invalid for what is no address of a server."""
    name = str(parameters.get("experiment") or "").strip()[:250]
    if not str(parameters.get("url") or "").strip():
        raise Invalid(
            "No tracking server is named.", "Write its address, for example https://mlflow.example.org.",
            {"url": "needed"},
        )  # fmt: skip
    return {"url": clean_base_url(str(parameters["url"])), "experiment": name}


def make_mlflow(work: Work) -> Made:
    """The run with parameters, curves, scores and files; the result names its page there."""
    with session_scope(write=False) as session:
        run = tracked(session, work.export, work.run)
    asked = work.export.parameters
    with outside_client(SECONDS) as client:
        api = Api(Access("MLflow", asked["url"]), client, _headers(work.token))
        work.say(0.1, "looks for the experiment")
        experiment_id = _experiment(api, asked["experiment"] or run.experiment)
        info = _run(api, experiment_id, run)
        work.say(0.3, "sends parameters, curves and scores")
        _log(api, info["run_id"], run)
        work.say(0.6, "sends files")
        files = _send_files(api, info, work)
        ended = int(run.ended_at.timestamp() * 1000)
        api.post(f"{API}/runs/update", {"run_id": info["run_id"], "status": "FINISHED", "end_time": ended})
    url = f"{asked['url']}/#/experiments/{experiment_id}/runs/{info['run_id']}"
    return Made(result={"url": url, "run": info["run_id"], "files": files})


def _headers(token: str) -> dict[str, str]:
    """A bearer token, or name:password as MLflow's own sign-in wants it."""
    if not token:
        return {}
    if ":" in token:
        return {"authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
    return {"authorization": f"Bearer {token}"}


def _experiment(api: Api, name: str) -> str:
    for _ in range(2):
        try:
            answer = api.get(f"{API}/experiments/get-by-name", params={"experiment_name": name})
        except Gone:
            try:
                return str(api.post(f"{API}/experiments/create", {"name": name})["experiment_id"])
            except (AlreadyThere, Refused):
                # Made by somebody else meanwhile: the second look finds it, or says what is wrong.
                continue
        found = answer["experiment"]
        if found.get("lifecycle_stage") == "deleted":
            raise Conflict(
                f"MLflow's experiment {name!r} is deleted.", "Restore it there, or give another name."
            )
        return str(found["experiment_id"])
    raise Conflict(
        f"MLflow lets nobody make the experiment {name!r}.", "Make it there, or give another name."
    )


def _run(api: Api, experiment_id: str, run: Tracked) -> dict[str, Any]:
    asked = {"experiment_ids": [experiment_id], "filter": f"tags.`{KEY}` = '{run.key}'", "max_results": 1}
    found = api.post(f"{API}/runs/search", asked).get("runs") or []
    if found:
        return dict(found[0]["info"])
    tags = {KEY: run.key, "tunebook.run": str(run.run_id), "mlflow.source.name": "tunebook", **run.about}
    body = {
        "experiment_id": experiment_id,
        "run_name": run.name,
        "start_time": int(run.started_at.timestamp() * 1000),
        "tags": [{"key": name, "value": value[:LONGEST]} for name, value in tags.items()],
    }
    return dict(api.post(f"{API}/runs/create", body)["run"]["info"])


def _log(api: Api, run_id: str, run: Tracked) -> None:
    params = [{"key": name, "value": _text(value)[:LONGEST]} for name, value in run.params.items()]
    for some in _in_parts(params, PARAMS):
        api.post(f"{API}/runs/log-batch", {"run_id": run_id, "params": some})
    for batch in _in_parts(_metrics(run), METRICS):
        api.post(f"{API}/runs/log-batch", {"run_id": run_id, "metrics": batch})


def _metrics(run: Tracked) -> list[dict[str, Any]]:
    # The same point sent twice is one row there: key, value, time and step are all that it has.
    points = [
        {"key": name, "value": value, "timestamp": int(time * 1000), "step": step}
        for step, time, values in run.steps()
        for name, value in values.items()
    ]
    ended = int(run.ended_at.timestamp() * 1000)
    return points + [
        {"key": name, "value": value, "timestamp": ended, "step": run.last_step}
        for name, value in run.scores.items()
    ]


def _send_files(api: Api, info: Mapping[str, Any], work: Work) -> int:
    """Predictions and small files, where the server takes artifacts itself; how many."""
    place = str(info.get("artifact_uri") or "")
    if not place.startswith("mlflow-artifacts:"):
        return 0
    root = f"{ARTIFACTS}/{place.removeprefix('mlflow-artifacts:').lstrip('/')}"
    predictions = work.folder / "predictions.csv"
    _write_predictions(work, predictions)
    folder = work.run_folder
    files = [predictions, *(path for name in FILES for path in (folder / name, folder / "out" / name))]
    sent = 0
    for path in files:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                headers = {"content-type": "application/octet-stream"}
                api.send("PUT", f"{root}/{path.name}", content=file.read(), headers=headers)
            sent += 1
    return sent


def _write_predictions(work: Work, path: Path) -> None:
    actor = Actor(work.export.maker_id, work.export.project_id, "", "")
    with new_session(write=False) as session, path.open("wb") as file:
        scored = scored_run(session, actor, work.run.id or 0)
        labels, pooled = scored.evaluation.labels, scored.run.pooled
        rows = (cells(row, len(labels), True) for row in prediction_rows(session, scored))
        file.writelines(csv_text(header(labels, True, pooled), rows))


def _in_parts(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (values[at : at + most] for at in range(0, len(values), most))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
