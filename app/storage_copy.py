"""Files into a bucket that was set later, out of it again, and whether it still has what it should. Called by
app/storage_commands.py and, after a restore, by app/restore.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from app import bucket
from app.config import settings
from app.storage import dataset_path, export_path, run_path
from app.stored_files import files_below, is_same, note
from app.tables import FINAL, Dataset, DatasetState, Export, ExportState, Run, StoredFile, StoredState


@dataclass(frozen=True)
class Noted:
    """`waiting`: files that are to go into the bucket; `there`: files that it has; `lost`: keys of files that neither
    the bucket nor this machine has."""

    waiting: int
    there: int
    lost: tuple[str, ...]


def note_finished(session: Session) -> Noted:
    """Notes every finished file of this data folder that the bucket lacks; a worker of this machine puts it there.

    Run again, it goes on where it was. The bucket is listed, so that one that was emptied or replaced is filled anew;
    when it cannot be listed, this raises Away.
    """
    known = {row.key: row for row in session.exec(select(StoredFile)) if not row.key.endswith("/")}
    sizes = bucket.sizes()
    waiting, kept = 0, set[str]()
    for path in _finished(session):
        key = path.relative_to(settings().folder).as_posix()
        row = known.get(key)
        if row and row.state == StoredState.KEPT and is_same(path, row) and sizes.get(key) == row.size_bytes:
            kept.add(key)
        elif row is None or row.state != StoredState.LEAVING:
            note(session, path)
            waiting += 1
            kept.add(key)
    rest = [row for key, row in known.items() if row.state == StoredState.KEPT and key not in kept]
    lost = [row.key for row in rest if sizes.get(row.key) != row.size_bytes]
    return Noted(waiting, len(kept) - waiting + len(rest) - len(lost), tuple(lost))


def _finished(session: Session) -> Iterator[Path]:
    """Files of this data folder that are written to no more."""
    for number in session.exec(select(Dataset.id).where(Dataset.state == DatasetState.READY)):
        path = dataset_path(number or 0)
        yield from (each for each in (path, path.with_suffix(".rows")) if each.is_file())
    for number in session.exec(select(Run.id).where(col(Run.state).in_(FINAL))):
        yield from sorted(files_below(run_path(number or 0)))
    for number in session.exec(select(Export.id).where(Export.state == ExportState.READY)):
        if (path := export_path(number or 0)).is_file():
            yield path


def waiting_here(session: Session) -> tuple[int, str]:
    """(files of this machine that are still to go into the bucket, what the last failed try met)."""
    mine = (StoredFile.state == StoredState.WAITING, StoredFile.machine == settings().machine_name)
    rows = session.exec(select(StoredFile.error).where(*mine)).all()
    return len(rows), next((said for said in rows if said), "")


def kept_files(session: Session) -> list[StoredFile]:
    """The rows of all files that the bucket should have."""
    kept = select(StoredFile).where(StoredFile.state == StoredState.KEPT).order_by(col(StoredFile.key))
    return [row for row in session.exec(kept) if not row.key.endswith("/")]


def damaged(rows: list[StoredFile], read: bool) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each file that the bucket lacks or has in another size; with `read`, all bytes are read
    and their SHA-256 compared."""
    sizes = bucket.sizes()
    for row in rows:
        if row.key not in sizes:
            yield row.key, "it is not in the bucket"
        elif sizes[row.key] != row.size_bytes:
            yield row.key, f"it has {sizes[row.key]:,} bytes instead of {row.size_bytes:,}"
        elif read and bucket.digest(row.key) != row.sha256:
            yield row.key, "its SHA-256 is not the one noted when it was put there"
