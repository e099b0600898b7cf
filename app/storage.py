"""Where files lie below the data folder. Every path is made here from row ids, never from a user's file name."""

import os
import shutil
from pathlib import Path

from app.config import settings

# What the bucket holds is brought here when its path is asked for: see app/stored_files.py.


def incoming_file(key: str) -> Path:
    """A fresh path for an upload in progress; `key` is random and ours."""
    folder = settings().folder / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / key


def dataset_file(dataset_id: int) -> Path:
    """The stored bytes of a dataset, as uploaded."""
    path = dataset_path(dataset_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _brought(path, path.with_suffix(".rows"))


def dataset_path(dataset_id: int) -> Path:
    """Where dataset_file() lies, whether or not it does."""
    return settings().folder / "datasets" / str(dataset_id)


def dataset_rows(dataset_id: int) -> Path:
    """The JSON Lines form of a CSV or Parquet dataset, written when it was checked."""
    return dataset_file(dataset_id).with_suffix(".rows")


def run_folder(run_id: int) -> Path:
    """A run's bundle: what went to the trainer, and `out/` with what came back."""
    return _brought(run_path(run_id))


def run_path(run_id: int) -> Path:
    """Where run_folder() lies, whether or not it does."""
    return settings().folder / "runs" / str(run_id)


def export_file(export_id: int) -> Path:
    """The finished file of an export."""
    path = export_path(export_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _brought(path)


def export_path(export_id: int) -> Path:
    """Where export_file() lies, whether or not it does."""
    return settings().folder / "exports" / str(export_id)


def door_file(file_id: int, here: bool = False) -> Path:
    """The bytes of a file of the OpenAI-compatible door; `here`: as it lies, nothing is brought from the bucket."""
    path = settings().folder / "door" / "files" / str(file_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path if here else _brought(path)


def door_batch(batch_id: int, here: bool = False) -> Path:
    """The folder with what was answered of a batch so far; `here` as above."""
    path = settings().folder / "door" / "batches" / str(batch_id)
    return path if here else _brought(path)


def export_work(export_id: int) -> Path:
    """What an export needs while it is made; removed at its end."""
    return export_file(export_id).with_suffix(".work")


def _brought(path: Path, *beside: Path) -> Path:
    """The path, with its file brought from the bucket where one is set. Raises Unavailable when that fails."""
    if settings().s3_bucket:
        from app.stored_files import bring

        for each in (path, *beside):
            bring(each)
    return path


def own_file(folder: Path, path: Path) -> bool:
    """Whether `path` is a plain file of `folder` itself: what a link planted there points to is never given out."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve()) and not path.is_symlink()


def keep(temporary: Path, final: Path) -> None:
    """Moves a finished file into place so that it is either wholly there or not at all."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, final)


def remove(path: Path) -> None:
    """Removes a file or a folder that may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
