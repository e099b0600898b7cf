"""Packs what a training elsewhere left, from its folder or from an MLflow server, for Experiment.adopt."""

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import msgspec

from .errors import Answered, Invalid, Unreachable, UnusableFile

# The files that the server reads or keeps; everything else stays where it is.
WANTED = re.compile(
    r"adapter_config\.json|config\.json|generation_config\.json|trainer_state\.json|training_args\.bin|mlflow_run\.json"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt"
    r"|chat_template\.(jinja|json)|model\.safetensors\.index\.json|[\w.-]+\.ya?ml"
    r"|(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors|(adapter_model|pytorch_model)\.bin"
)
STATE = ("trainer_state.json", "training_args.bin")
MOST_ARTIFACTS = 2000


@contextmanager
def packed(folder: Path, predictions: str | os.PathLike[str] | None) -> Iterator[IO[bytes]]:
    """The zip, open for reading; gone at the end."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UnusableFile(f"{folder} is no folder.", "Give the folder that the training wrote.")
    files = {
        path.name: path for path in sorted(folder.iterdir()) if path.is_file() and WANTED.fullmatch(path.name)
    }
    for name in STATE:
        if name not in files and (found := _newest(folder, name)):
            files[name] = found
    if not files:
        raise Invalid(
            f"{folder} holds nothing of a training.",
            "It should have adapter_config.json, trainer_state.json, training_args.bin, or Axolotl's YAML.",
        )
    if predictions is not None:
        path = Path(predictions).expanduser()
        files[f"predictions{path.suffix.lower()}"] = path
    with tempfile.TemporaryFile() as target:
        try:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                for name, path in files.items():
                    archive.write(path, name)
        except OSError as error:
            raise UnusableFile(
                f"{error.filename} cannot be read: {error.strerror}.", "Check the path."
            ) from error
        target.seek(0)
        yield target


def _newest(folder: Path, name: str) -> Path | None:
    """The file of the last checkpoint that has it."""
    found = [path for path in folder.glob(f"checkpoint-*/{name}") if path.parent.name[11:].isdecimal()]
    return max(found, key=lambda path: int(path.parent.name[11:]), default=None)


@contextmanager
def from_mlflow(url: str, run_id: str, token: str = "") -> Iterator[Path]:
    """A folder with an MLflow run: parameters and metrics as mlflow_run.json, and the files that a training leaves. `token`
    is a bearer token, or name:password. This machine asks the server, not Tunebook."""
    name, _, password = token.partition(":")
    headers = {"authorization": f"Bearer {token}"} if token and not password else {}
    auth = (name, password) if password else None
    try:
        with (
            httpx.Client(base_url=url.rstrip("/"), headers=headers, auth=auth, timeout=120) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            _fetch(server, run_id, Path(folder))
            yield Path(folder)
    except httpx.TransportError as error:
        raise Unreachable(f"No MLflow server answers at {url} ({error}).", "Check the address.") from error


def _fetch(server: httpx.Client, run_id: str, folder: Path) -> None:
    run = _asked(server, "/api/2.0/mlflow/runs/get", run_id=run_id)["run"]["data"]
    metrics = {}
    for metric in run.get("metrics") or ():
        key = metric["key"]
        found = _asked(
            server, "/api/2.0/mlflow/metrics/get-history", run_id=run_id, metric_key=key, max_results=25000
        )
        metrics[key] = [[int(point.get("step") or 0), point["value"]] for point in found.get("metrics") or ()]
    params = {each["key"]: each["value"] for each in run.get("params") or ()}
    said = msgspec.json.encode({"run": run_id, "params": params, "metrics": metrics})
    (folder / "mlflow_run.json").write_bytes(said)
    paths = [path for path in _artifacts(server, run_id, "") if WANTED.fullmatch(path.rpartition("/")[2])]
    # The folder nearest to the top that has an adapter, else a model; and what says how it was trained, from anywhere.
    homes = [
        path.rpartition("/")[0] for path in paths if path.endswith(("adapter_config.json", ".safetensors"))
    ]
    home = min(homes, key=lambda path: (path.count("/"), path), default=None)
    for path in paths:
        place, _, name = path.rpartition("/")
        if place == home or (name in STATE and not (folder / name).exists()):
            with server.stream("GET", "/get-artifact", params={"path": path, "run_uuid": run_id}) as answer:
                _check(answer)
                with (folder / name).open("wb") as file:
                    for piece in answer.iter_bytes():
                        file.write(piece)


def _artifacts(server: httpx.Client, run_id: str, path: str) -> list[str]:
    """Every file of the run, folder by folder."""
    found: list[str] = []
    folders = [path]
    while folders and len(found) < MOST_ARTIFACTS:
        asked: dict[str, Any] = {"run_id": run_id, **({"path": folders[0]} if folders[0] else {})}
        folders = folders[1:]
        for each in _asked(server, "/api/2.0/mlflow/artifacts/list", **asked).get("files") or ():
            (folders if each.get("is_dir") else found).append(each["path"])
    return found


def _asked(server: httpx.Client, path: str, /, **params: Any) -> Any:
    answer = server.get(path, params=params)
    _check(answer)
    return msgspec.json.decode(answer.content)


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        answer.read()
        raise Answered(
            f"MLflow answered {answer.status_code}: {answer.text[:200]}",
            "Check the run's id.",
            answer.status_code,
        )
