"""Makes one export from beginning to end. Called by workers/exports.py, and by push_now.py for a token used once."""

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from app.db import session_scope
from app.errors import Unavailable
from app.exports.kinds import KINDS
from app.exports.work import Made, Work
from app.storage import export_file, export_work, keep, remove, run_folder
from app.stored_files import note
from app.tables import Export, ExportState, Run

Save = Callable[[], AbstractContextManager[Session]]
SECONDS_BETWEEN = 0.5


def make_export(export: Export, save: Save, token: str = "") -> None:
    """Ends with the export ready; raises TunebookError when it cannot be made. Begins again from the start
    when an earlier process was killed."""
    export_id = export.id or 0
    folder = export_work(export_id)
    remove(folder)
    folder.mkdir(parents=True)
    with save() as session:
        _update(session, export_id, state=ExportState.WORKING, progress=0.0, progress_note="")
    with session_scope(write=False) as session:
        run = session.get_one(Run, export.run_id)
    target = folder / "made"
    work = Work(export, run, run_folder(run.id or 0), folder, target, _speaker(export_id, save), token)
    try:
        made = KINDS[export.kind].make(work)
        facts = _keep(export_id, made, work)
    except OSError as error:
        raise Unavailable(
            f"The export cannot be written: {error.strerror or error}.",
            "Free space on the disk, then ask again.",
        ) from error
    finally:
        remove(folder)
    with save() as session:
        _update(session, export_id, state=ExportState.READY, progress=1.0, progress_note="", **facts)
        if "file_name" in facts:
            note(session, export_file(export_id))


def _keep(export_id: int, made: Made, work: Work) -> dict[str, Any]:
    facts: dict[str, Any] = {"result": made.result}
    if not made.file_name:
        return facts
    with work.target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = work.target.stat().st_size
    keep(work.target, export_file(export_id))
    return facts | {"file_name": made.file_name, "size_bytes": size, "sha256": digest}


def fail_export(export: Export, save: Save, message: str, hint: str) -> None:
    """Ends the export with a sentence."""
    with save() as session:
        _update(
            session,
            export.id or 0,
            state=ExportState.FAILED,
            error=message[:2000],
            hint=hint[:2000],
            due_at=None,
        )


def _speaker(export_id: int, save: Save) -> Callable[[float, str], None]:
    """Stores progress, at most twice a second."""
    said: list[float] = [0.0]

    def say(fraction: float, sentence: str) -> None:
        at = time.monotonic()
        if at - said[0] < SECONDS_BETWEEN:
            return
        said[0] = at
        with save() as session:
            _update(session, export_id, progress=min(max(fraction, 0.0), 1.0), progress_note=sentence[:300])

    return say


def _update(session: Session, export_id: int, **values: Any) -> None:
    session.execute(update(Export).where(col(Export.id) == export_id).values(**values))
