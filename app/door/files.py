"""Files of the door: what is sent to /v1/files, what batches write, and the predictions of tuned runs.

Called by files_api.py, the tuning jobs and the batches. A run's predictions are no row: they are written as they are
read, under an id that names the run.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, or_, select

from app.cells import csv_text
from app.clock import in_seconds, now
from app.db import new_session
from app.door.ids import find_public, new_id, page, rows_after, unix
from app.errors import Conflict, Invalid, NotFound
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import cells, header
from app.lab.actor import Actor, require_member
from app.storage import door_file, keep, remove
from app.stored_files import forget, note
from app.tables import DoorBatch, DoorBatchState, DoorFile, DoorJob, DoorJobState

FINE_TUNE, BATCH, BATCH_OUTPUT, RESULTS = "fine-tune", "batch", "batch_output", "fine-tune-results"
LEAST_SECONDS, MOST_SECONDS = 3600, 2_592_000
MOST_FILES = 10_000
RUN_FILE = re.compile(r"file-run-(\d{1,9})-predictions")
BATCH_GOES_ON = (DoorBatchState.VALIDATING, DoorBatchState.IN_PROGRESS, DoorBatchState.CANCELLING)


def take_file(
    session: Session,
    actor: Actor,
    path: Path,
    *,
    purpose: str,
    name: str,
    sha256: str,
    size: int,
    seconds: int | None = None,
) -> DoorFile:
    """Keeps a file that lies complete at `path` (it is moved); `seconds`: how long it stays."""
    require_member(actor, "send files")
    return keep_file(
        session, actor, path, purpose=purpose, name=name, sha256=sha256, size=size, seconds=seconds
    )


def keep_file(
    session: Session,
    owner: Any,
    path: Path,
    *,
    purpose: str,
    name: str,
    sha256: str,
    size: int,
    seconds: int | None,
) -> DoorFile:
    """take_file() without asking for rights: for what a batch of `owner`'s (project and member) writes."""
    member_id = owner.member_id if isinstance(owner, Actor) else owner.maker_id
    made = DoorFile(
        project_id=owner.project_id,
        maker_id=member_id,
        public_id=new_id("file-"),
        purpose=purpose,
        name="".join(letter for letter in name if letter.isprintable()).strip()[:255] or "file.jsonl",
        path="",
        size_bytes=size,
        sha256=sha256,
        expires_at=in_seconds(seconds) if seconds else None,
    )
    session.add(made)
    session.flush()
    final = door_file(made.id or 0)
    made.path = f"door/files/{made.id}"
    session.add(made)
    keep(path, final)
    note(session, final)
    session.flush()
    return made


def check_purpose(purpose: str) -> str:
    """Raises Invalid for a purpose that has no use here."""
    if purpose not in (FINE_TUNE, BATCH):
        raise Invalid(
            f"Files for the purpose {purpose[:40]!r} have no use here."
            if purpose
            else "No purpose is named.",
            'Write "fine-tune" for a tuning job\'s data or "batch" for a file of questions.',
            {"purpose": "fine-tune or batch"},
        )
    return purpose


def check_lifetime(anchor: str, seconds: str) -> int | None:
    """Seconds that a file stays, from `expires_after`; None where nothing was sent. Raises Invalid."""
    if not anchor and not seconds:
        return None
    number = int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 10 else 0
    if anchor != "created_at" or not LEAST_SECONDS <= number <= MOST_SECONDS:
        raise Invalid(
            "expires_after cannot be read.",
            f'Write {{"anchor": "created_at", "seconds": n}} with n from {LEAST_SECONDS} to {MOST_SECONDS}.',
            {"expires_after": "anchor created_at, and seconds"},
        )
    return number


def find_file(session: Session, actor: Actor, public_id: str) -> DoorFile:
    """A file that is there; NotFound for one that was removed or is past its end."""
    found: DoorFile = find_public(session, actor, DoorFile, public_id, "file")
    if not is_there(found):
        raise NotFound(f"The file {public_id!r} was removed.", "Send it again.")
    return found


def is_there(file: DoorFile) -> bool:
    """Whether it was neither removed nor is past its end."""
    return file.removed_at is None and (file.expires_at is None or file.expires_at > now())


def list_files(
    session: Session, actor: Actor, purpose: str | None, after: str | None, limit: int, oldest_first: bool
) -> dict[str, Any]:
    """OpenAI's list, the newest first; a run's predictions are found at its job."""
    rows = rows_after(session, actor, DoorFile, after, "file", oldest_first)
    kept = (row for row in rows if is_there(row) and purpose in (None, "", row.purpose))
    return page(kept, limit, file_json)


def remove_file(session: Session, actor: Actor, public_id: str) -> None:
    """Removes the bytes; what was made of them stays. Raises Conflict while a job or batch still reads them."""
    require_member(actor, "remove files")
    file = find_file(session, actor, public_id)
    job = session.exec(
        select(DoorJob.public_id).where(
            or_(DoorJob.training_file_id == file.id, DoorJob.validation_file_id == file.id),
            DoorJob.state == DoorJobState.VALIDATING,
        )
    ).first()
    batch = session.exec(
        select(DoorBatch.public_id).where(
            DoorBatch.input_file_id == file.id, col(DoorBatch.state).in_(BATCH_GOES_ON)
        )
    ).first()
    if job or batch:
        raise Conflict(
            f"{job or batch} still reads this file.", "Wait for it or cancel it, then remove the file."
        )
    drop_file(session, file)


def drop_file(session: Session, file: DoorFile) -> None:
    """Its bytes go, its row stays."""
    file.removed_at = now()
    session.add(file)
    forget(session, door_file(file.id or 0, here=True))
    session.flush()
    remove(door_file(file.id or 0, here=True))


def expired_files(session: Session, most: int = 500) -> list[DoorFile]:
    """Files past their end whose bytes are still there."""
    past = select(DoorFile).where(col(DoorFile.removed_at).is_(None), col(DoorFile.expires_at) <= now())
    return list(session.exec(past.limit(most)))


def stored_path(file: DoorFile) -> Path:
    """Where its bytes lie. Raises NotFound where they are gone from the data folder."""
    path = door_file(file.id or 0)
    if not path.is_file():
        raise NotFound(
            f"The bytes of {file.public_id} are gone from the data folder.", "Send the file again."
        )
    return path


def file_json(file: DoorFile) -> dict[str, Any]:
    """OpenAI's file object."""
    found = file_object(file.public_id, file.size_bytes, file.created_at, file.name, file.purpose)
    return found | ({"expires_at": unix(file.expires_at)} if file.expires_at else {})


def file_object(id: str, size: int, created: datetime, name: str, purpose: str) -> dict[str, Any]:
    """The object of any file here; its status is always "processed", as OpenAI's is."""
    return {
        "id": id,
        "object": "file",
        "bytes": size,
        "created_at": unix(created),
        "filename": name,
        "purpose": purpose,
        "status": "processed",
    }


def run_file_id(run_id: int) -> str:
    """The id under which a run's predictions are read as a file."""
    return f"file-run-{run_id}-predictions"


def run_of(public_id: str) -> int | None:
    """The run whose predictions this id names; None for any other file."""
    found = RUN_FILE.fullmatch(public_id)
    return int(found[1]) if found else None


def predictions_json(session: Session, actor: Actor, run_id: int) -> dict[str, Any]:
    """The file object of a run's predictions. Raises NotFound while there are none."""
    scored = scored_run(session, actor, run_id)
    size = sum(len(piece) for piece in predictions(actor, run_id))
    name = f"run-{run_id}-predictions.csv"
    return file_object(run_file_id(run_id), size, scored.run.ended_at or now(), name, RESULTS)


def predictions(actor: Actor, run_id: int) -> Iterator[bytes]:
    """The run's predictions as CSV, guarded against formulas, piece by piece."""
    with new_session(write=False) as session:
        scored = scored_run(session, actor, run_id)
        labels = scored.evaluation.labels
        rows = (cells(row, len(labels), False) for row in prediction_rows(session, scored))
        yield from csv_text(header(labels, False, scored.run.pooled), rows)
