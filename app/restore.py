"""`tunebook restore`: a backup into an empty data folder and database of either kind. Called by app/backup_commands.py."""

import hashlib
import json
import os
import zlib
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

from alembic import command
from sqlalchemy import Connection, delete, text
from sqlmodel import Session

from app.backup import FORMAT, KEY, LEFT_OUT, MANIFEST, PIECE, Manifest
from app.config import settings
from app.database_rows import count_rows, filling, tables_of, write_rows
from app.db import engine
from app.errors import Conflict, Invalid, Unavailable
from app.migrate import alembic_config, known_schemas, reachable
from app.runs.restored import Held, hold_back
from app.tables import StoredFile
from app.up import make_folder, only_one
from app.vault import fingerprint, key_file, key_place, present_key, put_key

AGAIN = "Take another backup: this one cannot be trusted."
MARK = "restoring"


def restore(path: Path, without_secrets: bool = False) -> tuple[Manifest, Held]:
    """Puts a backup back; gives what it holds, and how many runs must not simply go on (app/runs/restored.py).

    All is checked before anything is written; rows come in one transaction after the files, and a restore that was
    killed may be run again.

    Raises Invalid for a backup that is truncated, altered or of a newer Tunebook, Conflict for a target that is not
    empty or a Tunebook that runs on it, Unavailable for a wrong or absent master key.
    """
    with opened(path) as archive:
        manifest = checked(archive)
        with only_one(make_folder()):
            return manifest, _restore(archive, manifest, without_secrets)


def _restore(archive: ZipFile, manifest: Manifest, without_secrets: bool) -> Held:
    folder = settings().folder
    mark = folder / MARK
    if not mark.exists() or mark.read_text() != manifest.made_at:
        _refuse_files(folder)
    reachable()
    with engine(True).begin() as connection:
        _refuse_rows(connection)
        key = _right_key(archive, manifest, without_secrets)
        mark.write_text(manifest.made_at)
        if key:
            put_key(key)
        for each in manifest.files:
            _extract(archive, each, folder)
        _fill(connection, archive, manifest)
        with Session(connection) as session:
            held = hold_back(session, manifest.made_at)
            # What the old bucket has says nothing of the one that may be set here.
            session.execute(delete(StoredFile))
    mark.unlink()
    return held


def opened(path: Path) -> ZipFile:
    """The backup's file. Raises Invalid when it is none, or when its end is missing."""
    try:
        return ZipFile(path.expanduser())
    except BadZipFile as error:
        raise Invalid(f"{path} is truncated, or no backup of Tunebook: {error}.", AGAIN) from error
    except OSError as error:
        raise Invalid(
            f"{path} cannot be read: {error.strerror}.", "Name the file that `tunebook backup` wrote."
        ) from error


def checked(archive: ZipFile) -> Manifest:
    """The manifest, once every entry has been read and found to be what it says. Raises Invalid."""
    try:
        found = json.loads(archive.read(MANIFEST))
        if found.get("format") != FORMAT:
            raise Invalid(
                f"The backup has format {found.get('format')}; this Tunebook reads {FORMAT}.",
                "Update Tunebook.",
            )
        manifest = Manifest(**found)
    except (KeyError, TypeError, ValueError, BadZipFile, AttributeError) as error:
        raise Invalid("The backup is damaged: its manifest cannot be read.", AGAIN) from error
    if manifest.schema not in known_schemas():
        raise Invalid(
            f"The backup was made by a newer Tunebook ({manifest.tunebook}, schema {manifest.schema}).",
            f"Update Tunebook to at least that version; this one knows schemas up to {max(known_schemas())}.",
        )
    for name, table in manifest.tables.items():
        _check(archive, f"tables/{name}.jsonl", table["sha256"])
    for entry, digest in {each["entry"]: each["sha256"] for each in manifest.files}.items():
        _check(archive, entry, digest)
    for each in manifest.files:
        place = PurePosixPath(each["path"])
        if place.is_absolute() or ".." in place.parts or place.parts[0] in LEFT_OUT:
            raise Invalid(f"The backup is altered: it names the file {each['path']!r}.", AGAIN)
    return manifest


def _check(archive: ZipFile, entry: str, expected: str) -> None:
    digest = hashlib.sha256()
    try:
        with archive.open(entry) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    # zlib.error is what a damaged stream gives; it has no better parent.
    except (KeyError, BadZipFile, EOFError, zlib.error, OSError, NotImplementedError) as error:
        raise Invalid(f"The backup is damaged: {entry} cannot be read.", AGAIN) from error
    if digest.hexdigest() != expected:
        raise Invalid(f"The backup is altered: {entry} is not what was written.", AGAIN)


def _refuse_files(folder: Path) -> None:
    filled = sorted(
        each.name
        for each in folder.iterdir()
        if each.name not in LEFT_OUT
        and not each.name.startswith("tunebook.db")
        and (each.is_file() or any(each.iterdir()))
    )
    if filled:
        raise Conflict(
            f"The data folder {folder} is not empty: it holds {', '.join(filled[:5])}.",
            "Restore into a new folder with --data, or move this one away first.",
        )


def _refuse_rows(connection: Connection) -> None:
    filled = [name for name, rows in count_rows(connection, tables_of(connection).values()).items() if rows]
    if filled:
        raise Conflict(
            f"The database is not empty: there are rows in {', '.join(filled[:5])}.",
            "Restore into a new database, or into a new folder with --data.",
        )
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7231)"))


def _right_key(archive: ZipFile, manifest: Manifest, without_secrets: bool) -> bytes:
    """The master key to put in place: the backup's own; b"" when the folder has the right one already."""
    present = present_key()
    own = archive.read(KEY) if manifest.has_key else b""
    if own and fingerprint(own) != manifest.key:
        raise Invalid("The backup is altered: its master key is another one.", AGAIN)
    if not manifest.sealed or without_secrets or fingerprint(present) == manifest.key:
        return b"" if present else own
    if present:
        raise Unavailable(
            f"The master key {key_place()} is the wrong one: it has fingerprint {fingerprint(present)}, "
            f"the backup's secrets were sealed with {manifest.key}.",
            "Put the right one there, or restore with --without-secrets and enter the keys again.",
        )
    if own:
        return own
    raise Unavailable(
        f"The master key is missing: the backup holds {manifest.sealed} secret(s) sealed with the vault.key of "
        f"fingerprint {manifest.key}.",
        f"Copy that vault.key to {key_file()}, or name its file in TUNEBOOK_VAULT_KEY_FILE; or restore with --without-secrets and enter the keys again.",
    )


def _extract(archive: ZipFile, each: dict[str, Any], folder: Path) -> None:
    path = folder / each["path"]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with archive.open(each["entry"]) as source, path.open("wb") as out:
        while piece := source.read(PIECE):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _fill(connection: Connection, archive: ZipFile, manifest: Manifest) -> None:
    """The tables as they were at the backup's schema, its rows, then what has been migrated since."""
    config = alembic_config(connection)
    command.upgrade(config, manifest.schema)
    tables = tables_of(connection)
    if set(tables) != set(manifest.tables):
        other = ", ".join(sorted(set(tables) ^ set(manifest.tables)))
        raise Invalid(f"The backup's tables are not those of schema {manifest.schema}: {other}.", AGAIN)
    with filling(connection, tables.values()):
        for name, table in tables.items():
            with archive.open(f"tables/{name}.jsonl") as file:
                columns = [column for column, _ in json.loads(file.readline())]
                write_rows(connection, table, columns, map(json.loads, file))
    counted = count_rows(connection, tables.values())
    wrong = [name for name, rows in counted.items() if rows != manifest.tables[name]["rows"]]
    if wrong:
        raise Invalid(f"Not all rows of {', '.join(wrong)} could be restored.", AGAIN)
    command.upgrade(config, "head")
