"""Backup and restore: everything comes back, and what cannot be trusted is refused by name."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from sqlmodel import Session, select

from app import db
from app.backup import MANIFEST, backup
from app.database_rows import read_rows, tables_of
from app.errors import Conflict, Invalid, Unavailable
from app.lab.actor import Actor
from app.restore import restore
from app.tables import Endpoint
from app.vault import fingerprint, key_file, seal, unseal
from tests.fresh import forget_settings

SECRET = "sk-of-the-endpoint"


@pytest.fixture
def filled(home: Path, session: Session, actor: Actor) -> Path:
    """A data folder with a few rows, a secret, two files of one content and what no backup holds."""
    own: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    session.add(Endpoint(**own, name="here", base_url="http://h", model="m", sealed_key=seal(SECRET)))
    session.commit()
    for name in ("datasets/1", "runs/7/out/log.txt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"the same bytes\n" * 1000)
    (home / "incoming").mkdir()
    (home / "incoming" / "half").write_text("an upload under way")
    (home / "runs" / "7" / "link").symlink_to("/etc/hostname")
    return home


def into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings name an empty folder with SQLite from now on."""
    monkeypatch.setenv("TUNEBOOK_DATA", str(folder))
    monkeypatch.delenv("TUNEBOOK_DATABASE_URL", raising=False)
    folder.mkdir()
    forget_settings()
    return folder


def all_rows() -> dict[str, list[str]]:
    """Every row of the present database, as text."""
    with db.engine(False).connect() as connection:
        return {
            name: [json.dumps(row) for row in read_rows(connection, table)]
            for name, table in tables_of(connection).items()
        }


def test_everything_comes_back(
    filled: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path_factory.mktemp("away")
    path, made = backup(away)
    assert path.parent == away
    assert path.stat().st_mode & 0o777 == 0o600
    before, key = all_rows(), key_file().read_bytes()
    assert {each["path"] for each in made.files} == {"datasets/1", "runs/7/out/log.txt"}
    with ZipFile(path) as archive:
        names = archive.namelist()
        assert key not in b"".join(map(archive.read, names))
    assert len([name for name in names if name.startswith("files/")]) == 1
    fresh = into(away / "fresh", monkeypatch)
    (fresh / "vault.key").write_bytes(key)
    restore(path)
    assert all_rows() == before
    for name in ("datasets/1", "runs/7/out/log.txt"):
        assert (fresh / name).read_bytes() == b"the same bytes\n" * 1000
    with db.session_scope() as session:
        assert unseal(session.exec(select(Endpoint)).one().sealed_key) == SECRET
    with pytest.raises(Conflict, match="not empty"):
        restore(path)


@pytest.mark.laptop
def test_the_key_is_asked_for_by_name(
    filled: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path_factory.mktemp("away")
    path, made = backup(away / "one.zip")
    with_key, _ = backup(away / "two.zip", with_key=True)
    fresh = into(away / "fresh", monkeypatch)
    with pytest.raises(Unavailable, match=f"missing: .* 1 secret.* {made.key}"):
        restore(path)
    seal("makes another key")
    with pytest.raises(Unavailable, match=f"wrong one: .* {made.key}"):
        restore(path)
    assert {each.name.split("-")[0] for each in fresh.iterdir()} == {"lock", "tunebook.db", "vault.key"}
    restore(path, without_secrets=True)
    with db.session_scope() as session, pytest.raises(Unavailable, match="cannot be decrypted"):
        unseal(session.exec(select(Endpoint)).one().sealed_key)
    into(away / "other", monkeypatch)
    restore(with_key)
    assert fingerprint(key_file().read_bytes()) == made.key


@pytest.mark.laptop
def test_what_cannot_be_trusted_is_refused_and_changes_nothing(
    filled: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path_factory.mktemp("away")
    path, made = backup(away / "one.zip", with_key=True)
    whole = path.read_bytes()
    fresh = into(away / "fresh", monkeypatch)
    bad = away / "bad.zip"
    with ZipFile(path) as archive:
        entry = next(each for each in archive.infolist() if each.filename.startswith("files/"))
    middle = entry.header_offset + 30 + len(entry.filename) + 25
    cases = [(whole[: len(whole) * part // 10], "truncated") for part in range(10)]
    cases.append((whole[:-1], "truncated"))
    cases.append((whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], "damaged|altered"))
    for content, words in cases:
        bad.write_bytes(content)
        with pytest.raises(Invalid, match=words):
            restore(bad)
    for change, words in (
        ({"schema": "9999"}, "newer Tunebook .*9999"),
        ({"format": 2}, "format 2"),
        ({"files": [{**made.files[0], "path": "../out"}]}, "altered"),
        ({"files": [{**made.files[0], "sha256": "0" * 64}]}, "altered"),
    ):
        rewritten(path, bad, change)
        with pytest.raises(Invalid, match=words):
            restore(bad)
    assert list(fresh.iterdir()) == []


def rewritten(path: Path, out: Path, change: Mapping[str, Any]) -> None:
    """The backup with another manifest."""
    with ZipFile(path) as source, ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == MANIFEST:
                content = json.dumps(json.loads(content) | change).encode()
            target.writestr(name, content)


@pytest.mark.laptop
def test_a_restore_that_was_killed_goes_on(
    filled: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path_factory.mktemp("away")
    path, _ = backup(away / "one.zip", with_key=True)
    before = all_rows()
    fresh = into(away / "fresh", monkeypatch)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("app.restore.count_rows", lambda *_: os.kill(os.getpid(), 9))
        monkeypatch.setattr("app.restore._refuse_rows", lambda *_: None)
        restore(path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9
    assert (fresh / "datasets" / "1").exists()
    restore(path)
    assert all_rows() == before
    assert not (fresh / "restoring").exists()


@pytest.mark.laptop
def test_a_place_that_cannot_hold_a_backup_is_refused(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="lies in the data folder"):
        backup(filled / "runs" / "one.zip")
    with pytest.raises(Unavailable, match="cannot be written"):
        backup(Path("/nowhere/one.zip"))
    (filled / "backups").mkdir()
    path, _ = backup(filled / "backups" / "one.zip")
    with pytest.raises(Conflict, match="exists already"):
        backup(path)
    assert os.listdir(filled / "backups") == ["one.zip"]
