"""A run's files as downloads: names that are fixed or were found in its folder, so that no path comes from a request."""

import os
import tempfile
from collections.abc import Iterator

from fastapi.responses import FileResponse, Response, StreamingResponse
from sqlmodel import Session

from app.errors import NotFound
from app.lab.actor import Actor, find
from app.runs.bundle import toolkit_files, zip_bundle, zip_folder
from app.runs.lock import check_unlocked
from app.runs.notebook import notebook
from app.runs.outputs import weights_folder
from app.storage import own_file, run_folder
from app.tables import Run

FILES = {
    "config.json": ("config.json", "application/json"),
    "metrics.jsonl": ("out/metrics.jsonl", "application/x-ndjson"),
    "log.txt": ("out/log.txt", "text/plain; charset=utf-8"),
    "resolved.json": ("out/resolved.json", "application/json"),
    "environment.json": ("out/environment.json", "application/json"),
    # What went to a hosted service, byte for byte, and what it said of the job.
    "train.jsonl": ("service/train.jsonl", "application/x-ndjson"),
    "validation.jsonl": ("service/validation.jsonl", "application/x-ndjson"),
    "job-first.json": ("service/job-first.json", "application/json"),
    "job-last.json": ("service/job-last.json", "application/json"),
}


def run_file(session: Session, actor: Actor, run_id: int, name: str) -> Response:
    """One of FILES, or of the toolkit's own configuration; raises NotFound for any other name or while it is not
    there."""
    find(session, actor, Run, run_id)
    own = toolkit_files(run_folder(run_id))
    path, media_type = FILES.get(name, ("", "text/plain; charset=utf-8"))
    file = own.get(name) or run_folder(run_id) / path
    if not own_file(run_folder(run_id), file):
        raise NotFound(f"Run {run_id} has no file {name!r}.", f"There are: {', '.join((*FILES, *own))}.")
    return FileResponse(file, media_type=media_type, filename=f"run-{run_id}-{name}")


def bundle_zip(session: Session, actor: Actor, run_id: int) -> Response:
    """The whole bundle. It holds the predictions: Forbidden while the test set is locked."""
    find(session, actor, Run, run_id)
    check_unlocked(session, [run_id])
    folder = run_folder(run_id)
    if not (folder / "config.json").is_file():
        raise NotFound(f"Run {run_id} has no bundle yet.", "It is written when the run starts.")
    with tempfile.TemporaryFile() as file:
        zip_bundle(folder, file)
        return _zip(file.fileno(), f"run-{run_id}-bundle.zip")


def notebook_file(session: Session, actor: Actor, run_id: int) -> Response:
    """The bundle as a notebook, which holds what the bundle holds."""
    run: Run = find(session, actor, Run, run_id)
    check_unlocked(session, [run_id])
    folder = run_folder(run_id)
    if not (folder / "config.json").is_file():
        raise NotFound(f"Run {run_id} has no bundle yet.", "It is written when the run starts.")
    text = notebook(folder, run_id, run.model, run.launch_key)
    headers = {"content-disposition": f'attachment; filename="run-{run_id}.ipynb"'}
    return Response(text, headers=headers, media_type="application/x-ipynb+json")


def weights_zip(session: Session, actor: Actor, run_id: int) -> Response:
    """The adapter or model folder."""
    find(session, actor, Run, run_id)
    folder = weights_folder(run_folder(run_id))
    if folder is None:
        raise NotFound(
            f"Run {run_id} has no weights.", "Baselines have none; others have them when training ends."
        )
    with tempfile.TemporaryFile() as file:
        zip_folder(folder, file)
        return _zip(file.fileno(), f"run-{run_id}-{folder.name}.zip")


def _zip(descriptor: int, name: str) -> Response:
    copy = os.dup(descriptor)
    size = os.lseek(copy, 0, os.SEEK_END)
    os.lseek(copy, 0, os.SEEK_SET)
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-length": str(size)}
    return StreamingResponse(_pieces(copy), headers=headers, media_type="application/zip")


def _pieces(descriptor: int) -> Iterator[bytes]:
    with open(descriptor, "rb") as file:
        while piece := file.read(1024 * 1024):
            yield piece
