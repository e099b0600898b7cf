"""The steps of a batch: its file is checked, its lines are asked slice by slice, its files are made. Called by
workers/door.py, which holds the lease. A killed worker asks no answered line again (batch_journal.py).
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.db import session_scope
from app.door.batch_ask import Slice, ask_lines, give_up
from app.door.batch_journal import ERRORS, OUTPUT, Journal
from app.door.batch_lines import Line, check_lines, numbered, read_line
from app.door.files import BATCH_GOES_ON, BATCH_OUTPUT, keep_file, stored_path
from app.door.maker import maker_of
from app.errors import Forbidden, NotFound
from app.storage import door_batch, incoming_file, remove
from app.stored_files import note
from app.tables import DoorBatch, DoorBatchState, DoorFile

Save = Callable[[], AbstractContextManager[Session]]
S = DoorBatchState
EXPIRED = "This request could not be executed before the completion window expired."


def work(batch: DoorBatch, save: Save) -> None:
    """The next step; what cannot go on ends the batch with what was answered by then."""
    with session_scope(write=False) as session:
        file = session.get_one(DoorFile, batch.input_file_id)
    try:
        path = stored_path(file)
        if batch.state == S.VALIDATING:
            _check(batch, save, path)
        else:
            _go_on(batch, save, path)
    except (Forbidden, NotFound) as error:
        fail(batch, save, error.message, error.hint)


def fail(batch: DoorBatch, save: Save, message: str, hint: str) -> None:
    """Ends the batch with a sentence; what was answered by then stays readable."""
    said = " ".join(part for part in (message, hint) if part)
    errors = [{"code": "batch_failed", "line": None, "message": said, "param": None}]
    _finish(batch, save, Journal(door_batch(batch.id or 0)), S.FAILED, errors)


def _check(batch: DoorBatch, save: Save, path: Path) -> None:
    found = check_lines(path)
    with save() as session:
        maker_of(session, batch)
        if found.errors:
            _move(session, batch, S.FAILED, errors=found.errors, model=found.model, ended_at=now())
        else:
            _move(
                session,
                batch,
                S.IN_PROGRESS,
                total=found.lines,
                model=found.model,
                started_at=now(),
                due_at=None,
            )


def _go_on(batch: DoorBatch, save: Save, path: Path) -> None:
    journal = Journal(door_batch(batch.id or 0))
    if journal.lost_ids:
        # What a kill kept from the index goes into it before anything is added behind it.
        for _ in _left(journal, path):
            pass
    lines = _left(journal, path)
    if batch.state == S.CANCELLING:
        _finish(batch, save, journal, S.CANCELLED)
    elif batch.expires_at <= now():
        give_up(journal, lines, "batch_expired", EXPIRED)
        _finish(batch, save, journal, S.EXPIRED)
    else:
        _ask(batch, save, journal, lines)


def _ask(batch: DoorBatch, save: Save, journal: Journal, lines: Iterator[Line]) -> None:
    with session_scope(write=False) as session:
        actor = maker_of(session, batch)

    def go_on() -> bool:
        """Tells how far it is; false once the batch is cancelled. Raises where the lease is lost."""
        with save() as session:
            counts = {"completed": journal.completed, "failed": journal.failed}
            _set(session, batch, **counts)
            state = session.exec(select(DoorBatch.state).where(DoorBatch.id == batch.id)).one()
            return state == S.IN_PROGRESS

    current = Slice(actor, batch.id or 0, journal, go_on)
    ask_lines(current, lines)
    if current.broke:
        give_up(journal, _left(journal, stored_path_of(batch)), "insufficient_quota", current.broke)
    if journal.completed + journal.failed >= batch.total:
        _finish(batch, save, journal, S.COMPLETED)
        return
    with save() as session:
        note(session, journal.folder)
        _set(session, batch, due_at=in_seconds(current.wait) if current.wait else None)


def stored_path_of(batch: DoorBatch) -> Path:
    """The input file's bytes."""
    with session_scope(write=False) as session:
        return stored_path(session.get_one(DoorFile, batch.input_file_id))


def _left(journal: Journal, path: Path) -> Iterator[Line]:
    """The lines that have no answer yet."""
    for number, raw in numbered(path):
        if number not in journal.done and not journal.knows(line := read_line(number, raw)):
            yield line


def _finish(
    batch: DoorBatch,
    save: Save,
    journal: Journal,
    state: DoorBatchState,
    errors: list[dict[str, Any]] | None = None,
) -> None:
    """Makes the files of what was answered and ends the batch, in one transaction; safe to do again after a kill."""
    read, written = journal.tokens()
    copies = {name: _copy(journal.folder / name) for name in (OUTPUT, ERRORS)}
    values: dict[str, Any] = {"completed": journal.completed, "failed": journal.failed, "ended_at": now()}
    try:
        with save() as session:
            made = {name: _keep(session, batch, copy, name) for name, copy in copies.items() if copy}
            values |= {"output_file_id": made.get(OUTPUT), "error_file_id": made.get(ERRORS)}
            values |= {"input_tokens": read, "output_tokens": written, "errors": errors or []}
            moved = _move(session, batch, state, due_at=None, **values)
            if not moved:
                session.rollback()
    finally:
        for copy in copies.values():
            if copy:
                copy.unlink(missing_ok=True)
    if moved:
        remove(journal.folder)


def _copy(path: Path) -> Path | None:
    """A copy that may be moved; None where there is nothing. The journal stays until the batch has ended."""
    if not path.is_file() or not path.stat().st_size:
        return None
    copy = incoming_file(secrets.token_hex(16))
    shutil.copyfile(path, copy)
    return copy


def _keep(session: Session, batch: DoorBatch, copy: Path, name: str) -> int | None:
    with copy.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    made = keep_file(
        session,
        batch,
        copy,
        purpose=BATCH_OUTPUT,
        name=f"{batch.public_id}_{name}",
        sha256=sha256,
        size=copy.stat().st_size,
        seconds=batch.output_seconds,
    )
    return made.id


def _move(session: Session, batch: DoorBatch, to: DoorBatchState, **values: Any) -> bool:
    """Moves the batch on unless somebody else has meanwhile: a cancel comes first."""
    before = BATCH_GOES_ON if to == S.FAILED else (batch.state,)
    done = session.execute(
        update(DoorBatch)
        .where(col(DoorBatch.id) == batch.id, col(DoorBatch.state).in_(before))
        .values(state=to, **values)
    )
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _set(session: Session, batch: DoorBatch, **values: Any) -> None:
    session.execute(update(DoorBatch).where(col(DoorBatch.id) == batch.id).values(**values))
