"""`tunebook doctor`: looks at everything Tunebook needs and says what to do. Called by app/__main__.py."""

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import kombu.exceptions
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from app import bucket
from app.config import settings
from app.database_rows import tables_of
from app.db import engine
from app.errors import TunebookError, Unavailable
from app.lab.machine import place, pytorch_version
from app.migrate import alembic_config
from app.queue import producer
from app.stored_files import unsettled
from app.up import answers
from app.vault import fingerprint, is_readable, key_file, key_place, present_key, sealed_in_files

GIB = 1024**3
LEAST_FREE = 2 * GIB


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, and what to do when that is not good."""

    name: str
    ok: bool
    found: str
    to_do: str = ""


def checks() -> list[Check]:
    """All checks in order; none leaves anything changed."""
    looks: tuple[Callable[[], Check], ...] = (
        _python, _sqlite, _folder, _space, _database, _key, _queue, _bucket, _port, _training, _models,
    )  # fmt: skip
    return [look() for look in looks]


def _python() -> Check:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    return Check("Python", sys.version_info >= (3, 11), found, "Install Python 3.11 or newer.")


def _sqlite() -> Check:
    # WAL with several processes is sound from 3.35 on; older ones also lack RETURNING.
    good = bool(settings().database_url) or sqlite3.sqlite_version_info >= (3, 35)
    return Check("SQLite", good, sqlite3.sqlite_version, "Take a Python with SQLite 3.35 or newer.")


def _folder() -> Check:
    folder = settings().folder
    if not folder.exists():
        good = os.access(next(parent for parent in folder.parents if parent.exists()), os.W_OK)
        return Check("data folder", good, f"{folder} is not there yet", "Choose a folder that you may write.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("data folder", False, f"{folder} cannot be written", f"chown -R $USER '{folder}'")
    mode = stat.S_IMODE(folder.stat().st_mode)
    private = mode & 0o077 == 0
    return Check(
        "data folder", private, f"{folder}, mode {mode:04o}", f"Others can look in: chmod 700 '{folder}'"
    )


def _space() -> Check:
    folder = settings().folder
    there = folder if folder.exists() else next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(there).free
    to_do = f"Free at least {LEAST_FREE // GIB} GiB, or move the data folder (DATA=...)."
    return Check("disk", free >= LEAST_FREE, f"{free / GIB:.1f} GiB free", to_do)


def _database() -> Check:
    kind = place(settings().database_url, "PostgreSQL", "SQLite")
    if not settings().database_url and not (settings().folder / "tunebook.db").exists():
        return Check("database", True, f"{kind}, made at the first start")
    try:
        with engine(False).connect() as connection:
            scripts = ScriptDirectory.from_config(alembic_config(connection))
            have = MigrationContext.configure(connection).get_current_heads()
            newest = tuple(scripts.get_heads())
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        return Check("database", False, f"{kind}: {reason}", "Start it, or mend TUNEBOOK_DATABASE_URL.")
    found = f"{kind}, schema {', '.join(have) or 'empty'}"
    return Check("database", tuple(have) == newest, found, "Run `tunebook migrate`, or update Tunebook.")


def _key() -> Check:
    path = key_file()
    try:
        present = fingerprint(present_key())
        lost = _unreadable() if settings().database_url or _has_database() else 0
    except TunebookError as error:
        return Check("master key", False, error.message, error.hint)
    except SQLAlchemyError:
        return Check("master key", True, "not compared: the database cannot be read")
    found = f"{key_place()}, fingerprint {present}" if present else "none yet, made with the first secret"
    if lost:
        to_do = (
            f"Put the {path.name} back that they were stored with, or enter them again on the Settings page."
        )
        return Check("master key", False, f"{found}; {lost} stored secret(s) cannot be decrypted", to_do)
    if settings().vault_key:
        return Check(
            "master key", not path.exists(), found, f"{path} is not used: keep it elsewhere or remove it."
        )
    private = not present or path.stat().st_mode & 0o077 == 0
    return Check("master key", private, found, f"Others can read it: chmod 600 '{path}'")


def _unreadable() -> int:
    with engine(False).connect() as connection:
        sealed = [
            value
            for table in tables_of(connection).values()
            for column in table.columns
            if column.name.startswith("sealed_")
            for value in connection.execute(select(column)).scalars()
        ]
    return sum(not is_readable(value) for value in (*sealed, *sealed_in_files()))


def _has_database() -> bool:
    return (settings().folder / "tunebook.db").exists()


def _queue() -> Check:
    kind = place(settings().broker_url, "Redis", "files")
    if not settings().broker_url:
        return Check("queue", True, f"{kind} in {settings().folder / 'queue'}")
    try:
        with producer().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except (kombu.exceptions.KombuError, OSError) as error:
        return Check("queue", False, f"{kind}: {error}", "Start it, or mend TUNEBOOK_BROKER_URL.")
    return Check("queue", True, kind)


def _bucket() -> Check:
    if not settings().s3_bucket:
        return Check("bucket", True, "none set: files lie in the data folder")
    try:
        bucket.probe()
        with Session(engine(False)) as session:
            number, said = unsettled(session)
    except Unavailable as error:
        return Check("bucket", False, error.message, error.hint)
    except SQLAlchemyError:
        return Check("bucket", True, f"{settings().s3_bucket} takes, gives and deletes a file")
    if number:
        return Check(
            "bucket", False, f"it answers, but {number} files still wait: {said}", "See docs/storage.md."
        )
    return Check("bucket", True, f"{settings().s3_bucket} takes, gives and deletes a file")


def _port() -> Check:
    host, port = settings().host, settings().port
    if answers():
        return Check("port", True, f"{port}: Tunebook answers")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        return Check(
            "port", False, f"{host}, {port}: {error}", f"Choose another: PORT={min(port + 1, 65535)}"
        )
    return Check("port", True, f"{port} is free")


def _training() -> Check:
    python, version = settings().trainer_python, pytorch_version()
    if version:
        return Check("PyTorch", True, f"{version}, for {python}")
    try:
        runs = subprocess.run([python, "-c", ""], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        runs = False
    to_do = "Set TUNEBOOK_TRAINER_PYTHON to a Python that runs."
    return Check(
        "PyTorch", runs, "not installed: baselines work, training does not (`make up` adds it)", to_do
    )


def _models() -> Check:
    missing = [str(folder) for folder in settings().model_dirs if not folder.is_dir()]
    if missing:
        return Check("model folders", False, f"not there: {', '.join(missing)}", "Mend TUNEBOOK_MODEL_DIRS.")
    return Check("model folders", True, ", ".join(str(each) for each in settings().model_dirs) or "none set")
