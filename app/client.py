"""The command line's way to a running Tunebook on this machine: its own HTTP API. Called by app/__main__.py."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from app.db import session_scope
from app.errors import Invalid, TunebookError, Unavailable
from app.lab.actor import first_actor
from app.lab.sign_in import end_session, make_token
from app.tables import DatasetState, RunState, TokenKind
from app.up import address, answers
from app.yaml_text import read_yaml

POLL_SECONDS = 1.0
FINAL = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


@contextmanager
def api() -> Iterator[httpx.Client]:
    """A client with a token that ends with the block. Raises Unavailable when no Tunebook answers."""
    if not answers(timeout_seconds=5):
        raise Unavailable(f"No Tunebook answers at {address()}.", "Start it with `make up` or `tunebook up`.")
    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.API, "command line")
    headers = {"authorization": f"Bearer {secret}"}
    try:
        with httpx.Client(base_url=f"{address()}/api/v1", headers=headers, timeout=600) as client:
            yield client
    except httpx.TransportError as error:
        raise Unavailable(
            f"Tunebook stopped answering ({error}).", "Look at its terminal, then try again."
        ) from error
    finally:
        with session_scope() as session:
            end_session(session, secret)


def ask(client: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """The JSON of one answer. An error comes back with the server's own sentences."""
    answer = client.request(method, path, **options)
    if answer.is_success:
        return answer.json()
    raise _refused(answer)


def upload(client: httpx.Client, path: Path) -> dict[str, Any]:
    """Uploads a file and waits until it is checked; the dataset as the API gives it."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    with file:
        dataset = ask(client, "POST", "/datasets", files={"file": (path.name, file)})
    while dataset["state"] not in (DatasetState.READY, DatasetState.REFUSED):
        time.sleep(POLL_SECONDS)
        dataset = ask(client, "GET", f"/datasets/{dataset['id']}")
    return dict(dataset)


def launch_file(client: httpx.Client, path: Path, data: Path | None) -> dict[str, Any]:
    """Launches an experiment's YAML file. `data` is uploaded when no dataset has the hash that the file names;
    left out, the file's own `dataset: {path: ...}` (beside it) is taken."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}.", "Give a file that Tunebook wrote.") from error
    options: dict[str, Any] = {"content": text, "headers": {"content-type": "application/yaml"}}
    answer = client.post("/experiments", **options)
    named = (read_yaml(text) or {}).get("dataset") or {}
    if data is None and named.get("path"):
        data = path.parent / str(named["path"])
    if answer.status_code == 404 and data is not None:
        dataset = upload(client, data)
        if dataset["state"] != DatasetState.READY:
            raise Invalid(f"{data} was refused.", f"See dataset {dataset['id']} for what is wrong with it.")
        answer = client.post("/experiments", **options)
    if not answer.is_success:
        raise _refused(answer)
    return dict(answer.json())


def watch(client: httpx.Client, experiment_id: int, wait: bool) -> Iterator[dict[str, Any]]:
    """Yields each run once: with `wait` when it is over, else as it is now."""
    shown: set[int] = set()
    while True:
        runs = ask(client, "GET", f"/experiments/{experiment_id}")["runs"]
        for run in runs:
            if run["id"] not in shown and (not wait or run["state"] in FINAL):
                shown.add(run["id"])
                yield run
        if len(shown) == len(runs):
            return
        time.sleep(POLL_SECONDS)


def predictions(client: httpx.Client, run_id: int, file: IO[bytes]) -> None:
    """Writes a run's predictions.csv to `file`."""
    with client.stream("GET", f"/runs/{run_id}/predictions.csv") as answer:
        if not answer.is_success:
            answer.read()
            raise _refused(answer)
        for piece in answer.iter_bytes():
            file.write(piece)


def save_predictions(client: httpx.Client, run_id: int, path: Path) -> None:
    """predictions() into a file that is either whole or not there."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            predictions(client, run_id, file)
        shutil.move(part, path)
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from error
    finally:
        part.unlink(missing_ok=True)


def dataset_line(dataset: dict[str, Any]) -> str:
    """For example "dataset 3: ready, 5009 items (train 4008, validation 500, test 501), classification"."""
    parts = {name: count for name, count in dataset["splits"].items() if count}
    counts = ", ".join(f"{name} {count}" for name, count in parts.items())
    told = f", {sum(parts.values())} items ({counts}), {dataset['task']}" if parts else ""
    return f"dataset {dataset['id']}: {dataset['state']}{told}"


def run_line(run: dict[str, Any]) -> str:
    """For example "run 4: baseline/majority, done, accuracy 0.345 [0.305, 0.388]"."""
    seed = "" if run["seed"] is None else f" seed {run['seed']}"
    scores = [
        f"{name} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
        for name, score in list(run.get("scores", {}).items())[:1]
        if score.get("value") is not None and score.get("low") is not None
    ]
    return ", ".join([f"run {run['id']}: {run['model']}{seed}", run["state"], *scores])


def _refused(answer: httpx.Response) -> TunebookError:
    try:
        problem = answer.json()
        return TunebookError(problem["detail"], problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return TunebookError(f"The server answered {answer.status_code}.", answer.text[:200])
