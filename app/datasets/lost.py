"""A dataset's stored file that is gone, cut short or changed: how it is noticed, said, and mended by the same upload.

Used by stored.py and by what gives the file out; service.py mends, doctor names what is to be mended.
"""

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path

from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from app import bucket
from app.config import settings
from app.datasets.check import Report
from app.datasets.convert import convert_table
from app.errors import Conflict
from app.lab.actor import Actor, owned
from app.lab.audit import record
from app.storage import dataset_path, keep
from app.stored_files import note
from app.tables import Dataset, DatasetState

MEND = "Restore it from a backup, or upload the same file again"


class FileLost(Conflict):
    """A dataset's stored file is gone, cut short, or holds other bytes than were uploaded."""

    title = "A file is lost"


def lost(dataset: Dataset, how: str) -> FileLost:
    """The error that says what is lost and how it is mended; `how` continues "the file of dataset 7 ..."."""
    return FileLost(
        f"The file of dataset {dataset.id} ({dataset.name}) {how}.", f"{MEND} (SHA-256 {dataset.sha256})."
    )


def trouble(dataset: Dataset, whole: bool = False) -> str:
    """What is wrong with the file as it lies here, as `lost` continues it; "" for nothing. All its bytes are read only
    where `whole` asks for it, and once as long as the file is not touched."""
    path = dataset_path(dataset.id or 0)
    try:
        seen = path.stat()
        if seen.st_size != dataset.size_bytes:
            return f"has {seen.st_size:,} bytes in place of {dataset.size_bytes:,}"
        if whole and _digest(path, seen.st_size, seen.st_mtime_ns, seen.st_ino) != dataset.sha256:
            return "holds other bytes than were uploaded"
        if dataset.row_format != dataset.format and not path.with_suffix(".rows").is_file():
            return "has lost its JSON Lines form"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def refuse_lost(dataset: Dataset) -> None:
    """Raises FileLost unless every byte of the file, brought here already, is as it was uploaded."""
    if how := trouble(dataset, whole=True):
        raise lost(dataset, how)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, modified_ns: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_back(session: Session, actor: Actor, path: Path, sha256: str) -> Dataset | None:
    """Puts the bytes at `path` in the place of every lost file of the project with this SHA-256, with an audit line;
    gives the newest dataset that was mended, None where none was lost. `path` stays."""
    mended = None
    for dataset in session.exec(
        owned(actor, Dataset)
        .where(Dataset.sha256 == sha256, Dataset.state == DatasetState.READY)
        .order_by(col(Dataset.id))
    ):
        how = trouble(dataset, whole=True)
        if how:
            _restore(session, dataset, path)
            # With a bucket a file may be away from here without being lost: it is put back all the same.
            if not settings().s3_bucket:
                mended = dataset
                told = {"name": dataset.name, "mended": f"its file {how}"}
                record(session, actor, "changed", "dataset", dataset.id, **told)
    return mended


def _restore(session: Session, dataset: Dataset, path: Path) -> None:
    final = dataset_path(dataset.id or 0)
    part = final.with_suffix(".part")
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, part)
    keep(part, final)
    note(session, final)
    if dataset.row_format != dataset.format:
        rows = final.with_suffix(".rows")
        again = Dataset(
            project_id=dataset.project_id,
            maker_id=dataset.maker_id,
            name=dataset.name,
            format=dataset.format,
            mapping=dataset.mapping,
        )
        convert_table(again, final, part, Report())
        keep(part, rows)
        note(session, rows)


def lost_datasets(session: Session) -> list[tuple[Dataset, str]]:
    """(dataset, what is wrong) of every ready dataset of all projects whose file is not here or has another size."""
    needed = load_only(Dataset.name, Dataset.size_bytes, Dataset.format, Dataset.row_format)  # type: ignore[arg-type]
    ready = (
        select(Dataset).where(Dataset.state == DatasetState.READY).order_by(col(Dataset.id)).options(needed)
    )
    datasets = session.exec(ready).all()
    session.expunge_all()
    return [(each, how) for each in datasets if (how := trouble(each))]


def not_in_bucket(lost: list[tuple[Dataset, str]]) -> list[tuple[Dataset, str]]:
    """Those that the bucket does not have either, where there is one. Raises Away when it does not answer."""
    if not lost or not settings().s3_bucket:
        return lost
    there = bucket.sizes("datasets/")
    return [(each, how) for each, how in lost if there.get(f"datasets/{each.id}") != each.size_bytes]
