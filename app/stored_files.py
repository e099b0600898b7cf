"""The data folder as each machine's working copy of a bucket: what is to go there is noted in rows, a worker puts it
there, and what is missing here is brought back. Called by app/storage.py, the nouns' services and workers.

Without a bucket in the settings none of this does anything.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app import bucket
from app.config import settings
from app.db import session_scope
from app.errors import Unavailable
from app.queue import PUSH_FILE, enqueue, machine_queue
from app.tables import StoredFile, StoredState

# Never evicted while somebody may still be reading it.
IN_USE_SECONDS = 3600.0
# The parts of an unfinished write or download.
PASSING = (".part", ".tmp")
# What ends the transaction of the request that asks for a file.
_ends: ContextVar[list[Callable[[], object]] | None] = ContextVar("ends", default=None)


@contextmanager
def asking() -> Iterator[None]:
    """Around one request: what it registers by `end_first` is called before a file is fetched for it."""
    token = _ends.set([])
    try:
        yield
    finally:
        _ends.reset(token)


def end_first(end: Callable[[], object]) -> None:
    """Registers what ends a reading request's transaction: none waits for a network, and no request that waits for a
    file holds a connection that another needs."""
    if (ends := _ends.get()) is not None:
        ends.append(end)


def note(session: Session, path: Path) -> None:
    """Notes that a finished file, or all of a folder, is to go into the bucket; sent after the commit."""
    if not settings().s3_bucket:
        return
    _note_key(session, _key(path) + ("/" if path.is_dir() else ""))


def _note_key(session: Session, key: str) -> None:
    row = _noted(session, key)
    session.flush()
    enqueue(session, PUSH_FILE, row.id or 0)


def forget(session: Session, path: Path) -> None:
    """Notes that a file, or all below a folder, is to leave the bucket. The caller removes the local copy."""
    if not settings().s3_bucket:
        return
    for row in _rows(session, _key(path)):
        row.state, row.error, row.due_at = StoredState.LEAVING, "", None
        session.add(row)
        enqueue(session, PUSH_FILE, row.id or 0)
    session.flush()


def bring(path: Path) -> None:
    """Makes sure that a file, or all that the bucket holds below a folder, lies here as it was put there.

    Raises Unavailable: the bucket does not answer, the object is damaged, or the file waits on another machine.
    """
    if not settings().s3_bucket:
        return
    for end in _ends.get() or ():
        end()
    with session_scope(write=False) as session:
        rows = _rows(session, _key(path))
        session.expunge_all()
    for row in rows:
        target = settings().folder / row.key
        if row.key.endswith("/") or row.state == StoredState.LEAVING:
            continue
        if row.state == StoredState.WAITING:
            if row.key == _key(path) and not target.is_file() and row.machine != settings().machine_name:
                raise bucket.Away(
                    f"The file {row.key} still lies on the machine {row.machine} alone.",
                    "It can be read here once that machine has put it into the bucket.",
                )
            continue
        if not is_same(target, row) and not (target.exists() and row.machine == settings().machine_name):
            _bring_one(row, target)
        elif target.exists():
            # The time of the last use, by which copies are evicted.
            os.utime(target, ns=(time.time_ns(), target.stat().st_mtime_ns))


def has(path: Path) -> bool:
    """Whether a file, or anything below a folder, lies here or in the bucket. Fetches nothing."""
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        return True
    if not settings().s3_bucket:
        return False
    with session_scope(write=False) as session:
        return any(row.state != StoredState.LEAVING for row in _rows(session, _key(path)))


def _bring_one(row: StoredFile, target: Path) -> None:
    part = settings().folder / "incoming" / f"bucket-{row.id}-{row.sha256[:16]}.part"
    bucket.get(row.key, target, part, row.size_bytes, row.sha256)
    os.utime(target, ns=(time.time_ns(), row.modified_ns))


def elsewhere(path: Path) -> str:
    """The queue of the machine that alone has this file, or files of this folder, so far; "" where work can go on."""
    if not settings().s3_bucket or not settings().broker_url:
        return ""
    with session_scope(write=False) as session:
        for row in _rows(session, _key(path)):
            other = row.machine != settings().machine_name
            if row.state == StoredState.WAITING and other and not (settings().folder / row.key).exists():
                return machine_queue(row.machine)
    return ""


def push(row: StoredFile, save: Callable[[], AbstractContextManager[Session]]) -> None:
    """Does what the row asks: puts the file there, looks through the folder, or deletes the object."""
    path = settings().folder / row.key
    if row.state == StoredState.LEAVING:
        if not row.key.endswith("/"):
            bucket.delete(row.key, row.upload_id)
        with save() as session:
            # Noted anew meanwhile, it stays.
            if (now_there := session.get_one(StoredFile, row.id)).state == StoredState.LEAVING:
                session.delete(now_there)
    elif row.key.endswith("/"):
        _note_folder(row, path, save)
    elif not path.is_file():
        # It went before it was put there: a run that was started again, a dataset that was refused.
        with save() as session:
            session.delete(session.get_one(StoredFile, row.id))
    else:
        _put(row, path, save)


def _note_folder(row: StoredFile, path: Path, save: Callable[[], AbstractContextManager[Session]]) -> None:
    found = sorted(files_below(path)) if path.is_dir() else []
    with save() as session:
        have = {each.key: each for each in _rows(session, row.key.rstrip("/"))}
        for file in found:
            known = have.get(_key(file))
            if known is None or known.state != StoredState.KEPT or not is_same(file, known):
                _note_key(session, _key(file))
        _update(session, row, state=StoredState.KEPT, error="")


def files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder that go into the bucket with it."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file() and not path.is_symlink() and path.suffix not in PASSING:
                yield path


def _put(row: StoredFile, path: Path, save: Callable[[], AbstractContextManager[Session]]) -> None:
    seen = path.stat()
    if row.upload_id and not is_same(path, row):
        # What was sent of an earlier state of the file is of no use.
        bucket.delete(row.key, row.upload_id)
        row.upload_id = ""
    if not row.upload_id:
        with path.open("rb") as file:
            row.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        row.size_bytes, row.modified_ns = seen.st_size, seen.st_mtime_ns
    facts = {"size_bytes": row.size_bytes, "modified_ns": row.modified_ns, "sha256": row.sha256}

    def begun(upload_id: str) -> None:
        with save() as session:
            _update(session, row, upload_id=upload_id, **facts)

    # A bucket that has it already, after a restore or a copy, is not sent it again.
    if row.upload_id or bucket.held(row.key) != (row.size_bytes, row.sha256):
        bucket.put(path, row.key, row.sha256, row.upload_id, begun)
    if not is_same(path, row):
        raise Unavailable(
            f"The file {row.key} changed while it was put into the bucket.", "It is put there again."
        )
    with save() as session:
        _update(session, row, state=StoredState.KEPT, upload_id="", error="", due_at=None, **facts)


def evict() -> int:
    """Removes local copies, those used longest ago first, until this machine keeps at most `local_bytes` of what the
    bucket holds; says how many bytes went. Nothing that the bucket lacks or that was used within the hour goes."""
    most = settings().local_bytes
    if not settings().s3_bucket or not most:
        return 0
    with session_scope(write=False) as session:
        rows = session.exec(select(StoredFile).where(StoredFile.state == StoredState.KEPT)).all()
        session.expunge_all()
    here = [(path.stat(), path) for row in rows if is_same(path := settings().folder / row.key, row)]
    here.sort(key=lambda pair: pair[0].st_atime_ns)
    too_many = sum(stat.st_size for stat, _ in here) - most
    gone = 0
    for stat, path in here:
        if gone >= too_many or stat.st_atime > time.time() - IN_USE_SECONDS:
            break
        path.unlink(missing_ok=True)
        gone += stat.st_size
    return gone


def abort_strays() -> int:
    """Aborts uploads in parts that no row knows any more; says how many."""
    with session_scope(write=False) as session:
        known = set(session.exec(select(StoredFile.upload_id).where(StoredFile.upload_id != "")))
    return bucket.abort_stale(known)


def unsettled(session: Session) -> tuple[int, str]:
    """(files that the bucket did not take at their last try, the newest reason)."""
    where = (StoredFile.state == StoredState.WAITING, StoredFile.error != "")
    number = session.exec(select(func.count()).select_from(StoredFile).where(*where)).one()
    said = session.exec(select(StoredFile.error).where(*where).order_by(col(StoredFile.id).desc())).first()
    return number, said or ""


def _key(path: Path) -> str:
    return path.relative_to(settings().folder).as_posix()


def _rows(session: Session, key: str) -> list[StoredFile]:
    """The row of a file, and those of all below a folder of that name."""
    like = func.substr(StoredFile.key, 1, len(key) + 1) == f"{key}/"
    return list(
        session.exec(
            select(StoredFile).where((col(StoredFile.key) == key) | like).order_by(col(StoredFile.id))
        )
    )


def _noted(session: Session, key: str) -> StoredFile:
    row = session.exec(select(StoredFile).where(StoredFile.key == key)).first() or StoredFile(key=key)
    row.state, row.error, row.due_at, row.attempt = StoredState.WAITING, "", None, 0
    row.machine = settings().machine_name
    session.add(row)
    return row


def is_same(path: Path, row: StoredFile) -> bool:
    """Whether the file is the one that the row tells of."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (row.size_bytes, row.modified_ns)


def _update(session: Session, row: StoredFile, **values: object) -> None:
    session.execute(update(StoredFile).where(col(StoredFile.id) == row.id).values(**values))
