"""`tunebook backup`: everything in one file, while Tunebook runs. Called by app/backup_commands.py.

The file is a zip: `tables/<name>.jsonl` (rows of one moment, read in one transaction), `files/<SHA-256>` (each content
once) and at the end `manifest.json`, which names all of them with sizes and hashes. docs/backup.md describes it.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table, text

from app.clock import now
from app.config import settings
from app.database_rows import kind_of, read_rows, tables_of
from app.db import engine
from app.errors import Conflict, Invalid, Unavailable
from app.stored_files import bring
from app.vault import fingerprint, present_key, sealed_in_files
from app.version import code_version

FORMAT = 1
MANIFEST, KEY = "manifest.json", "vault.key"
PIECE = 1 << 20
# What Tunebook makes again by itself, what is not finished, and what goes into the backup in another way.
LEFT_OUT = {"incoming", "queue", "lock", "environments", "backups", "vault.key", "restoring"}
# Paths of files whose row says that they are whole: without them a restored row would promise what is not there.
NEEDED = (
    "SELECT 'datasets/' || id FROM dataset WHERE state = 'ready' AND sha256 <> '' "
    "UNION SELECT 'exports/' || id FROM export WHERE state = 'ready' AND file_name <> ''"
)
# Deflating these costs time and saves nothing.
DENSE = {".safetensors", ".parquet", ".zip", ".gz", ".png", ".gguf", ".npz", ".xz", ".zst"}


@dataclass
class Manifest:
    """What a backup holds. `tables`: rows and SHA-256 by name; `files`: path below the data folder, size and entry
    with SHA-256; `key`: the master key's fingerprint, "" where there was none; `gone`: files removed while they were
    listed; `missing`: files that a row needs and the data folder lacked."""

    schema: str
    database: str
    key: str
    format: int = FORMAT
    tunebook: str = field(default_factory=code_version)
    made_at: str = field(default_factory=lambda: now().isoformat(timespec="seconds"))
    has_key: bool = False
    sealed: int = 0
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def backup(target: Path, with_key: bool = False) -> tuple[Path, Manifest]:
    """Writes a backup to a new file, or into a folder under a name of its own; gives where, and what is in it.

    The database comes first and the files after it, so that each file that a row names is there. Raises Conflict
    for a file that exists, Invalid for a place inside the data folder, Unavailable when it cannot be written.
    """
    path = _target(target)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive:
                manifest = _write(archive, with_key)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError as error:
        raise Conflict(
            f"{path} exists already.", "Choose another name; a backup replaces nothing."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"The backup cannot be written to {path}: {error.strerror}.",
            "Choose a folder that you may write and that has room.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path, manifest


def _target(target: Path) -> Path:
    target = target.expanduser().resolve()
    name = f"tunebook-{now():%Y%m%d-%H%M%S}.zip"
    path = target / name if target.is_dir() else target
    folder = settings().folder
    if path.is_relative_to(folder) and not path.is_relative_to(folder / "backups"):
        raise Invalid(
            f"{path} lies in the data folder {folder}, which would be backed up with it.",
            "Choose a place outside, best on another disk.",
        )
    if path.exists():
        raise Conflict(f"{path} exists already.", "Choose another name; a backup replaces nothing.")
    return path


def _write(archive: ZipFile, with_key: bool) -> Manifest:
    key = present_key()
    with snapshot() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
        if len(heads) != 1:
            raise Conflict("There is no database to back up yet.", "Start Tunebook once: `tunebook up`.")
        manifest = Manifest(heads[0], connection.dialect.name, fingerprint(key))
        for table in tables_of(connection).values():
            _write_table(archive, manifest, connection, table)
        needed = set(connection.execute(text(NEEDED)).scalars())
    _write_files(archive, manifest)
    manifest.missing = sorted(needed - {each["path"] for each in manifest.files})
    manifest.sealed += sum(1 for _ in sealed_in_files())
    if with_key and key:
        manifest.has_key = True
        archive.writestr(_entry(KEY), key)
    archive.writestr(_entry(MANIFEST), json.dumps(asdict(manifest), indent=1))
    return manifest


def _write_table(archive: ZipFile, manifest: Manifest, connection: Connection, table: Table) -> None:
    columns = [[column.name, kind_of(column)] for column in table.columns]
    sealed = [place for place, (name, _) in enumerate(columns) if name.startswith("sealed_")]
    digest, count = hashlib.sha256(), 0
    with archive.open(_entry(f"tables/{table.name}.jsonl"), "w", force_zip64=True) as out:
        for count, row in enumerate(chain([columns], read_rows(connection, table))):
            line = json.dumps(row).encode() + b"\n"
            digest.update(line)
            out.write(line)
            manifest.sealed += sum(bool(row[place]) for place in sealed if count)
    manifest.tables[table.name] = {"rows": count, "sha256": digest.hexdigest()}


def snapshot() -> Connection:
    """A connection whose one transaction sees the database as it is now, whatever others commit meanwhile."""
    connection = engine(False).connect()
    if connection.dialect.name == "postgresql":
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return connection


def data_files() -> Iterator[Path]:
    """Files below the data folder that a backup holds, in order. Links are not followed."""
    folder = settings().folder
    for top in sorted(folder.iterdir()):
        if top.name in LEFT_OUT or top.name.startswith(("tunebook.db", "vault.")) or top.is_symlink():
            continue
        if top.is_file():
            yield top
        for parent, folders, names in os.walk(top):
            folders[:] = sorted(each for each in folders if not each.endswith(".work"))
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink():
                    yield path


def _write_files(archive: ZipFile, manifest: Manifest) -> None:
    folder, known = settings().folder, dict[str, str]()
    # Copies that were evicted here come back from the bucket first.
    for name in ("datasets", "runs", "exports", "door") if settings().s3_bucket else ():
        bring(folder / name)
    for path in data_files():
        name = path.relative_to(folder).as_posix()
        try:
            with path.open("rb") as file:
                manifest.files.append({"path": name, **_add(archive, file, path, known)})
        except FileNotFoundError:
            # Removed by somebody since the folder was listed.
            manifest.gone.append(name)


def _add(archive: ZipFile, file: IO[bytes], path: Path, known: dict[str, str]) -> dict[str, Any]:
    """One file as long as it is now: what is written on to a log while we copy belongs to the next backup."""
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256()
    for piece in pieces(file, size):
        digest.update(piece)
    first = digest.hexdigest()
    if first in known:
        return {"size": size, "entry": known[first], "sha256": first}
    entry = f"files/{first}"
    if entry in archive.NameToInfo:
        entry += f"-{len(archive.NameToInfo)}"
    file.seek(0)
    digest, copied = hashlib.sha256(), 0
    kind = ZIP_STORED if path.suffix in DENSE else ZIP_DEFLATED
    with archive.open(_entry(entry, kind), "w", force_zip64=True) as out:
        for piece in pieces(file, size):
            digest.update(piece)
            out.write(piece)
            copied += len(piece)
    # Rewritten in place between the two readings: what was copied is what counts.
    if digest.hexdigest() == first:
        known[first] = entry
    return {"size": copied, "entry": entry, "sha256": digest.hexdigest()}


def pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """At most `size` bytes of a file in pieces of a mebibyte."""
    while size > 0 and (piece := file.read(min(size, PIECE))):
        size -= len(piece)
        yield piece


def _entry(name: str, kind: int = ZIP_DEFLATED) -> ZipInfo:
    entry = ZipInfo(name, now().timetuple()[:6])
    entry.compress_type, entry.external_attr = kind, 0o600 << 16
    return entry
