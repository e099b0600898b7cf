"""`tunebook move`: from SQLite to PostgreSQL and back, every row equal, ids going on where they were."""

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from app import db
from app.errors import Conflict, Invalid, Unavailable
from app.lab.actor import Actor
from app.move import move
from app.tables import Endpoint, Project
from app.vault import seal
from tests.backup.test_backup import all_rows
from tests.fresh import forget_settings


@pytest.mark.laptop
def test_there_and_back(
    home: Path, session: Session, actor: Actor, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    names = ["plain", "quote ' \" \\ tab \t", "ä 日本 🧪", "\\N", ""]
    session.add_all(
        Endpoint(**own, name=name, base_url="http://h", model="m", sealed_key=seal("s")) for name in names
    )
    session.add(Project(id=41, name="a project of a high number"))
    session.commit()
    session.close()
    before = all_rows()
    address = postgres.emptied()
    counted = move(address)
    assert counted["endpoint"] == len(names)
    assert counted == {name: len(rows) for name, rows in before.items()}
    assert all_rows() == before
    with pytest.raises(Conflict, match="not empty"):
        move(address)

    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", address)
    forget_settings()
    assert all_rows() == before
    move(f"sqlite:///{home / 'back.db'}")
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", f"sqlite:///{home / 'back.db'}")
    forget_settings()
    assert all_rows() == before

    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", address)
    forget_settings()
    with db.session_scope() as opened:
        made = Project(name="the next")
        opened.add(made)
        opened.flush()
        assert made.id == 42
    forget_settings(close=True)


@pytest.mark.laptop
def test_places_that_cannot_be_moved_to(home: Path) -> None:
    with pytest.raises(Invalid, match="in use already"):
        move(f"sqlite:///{home / 'tunebook.db'}")
    with pytest.raises(Unavailable, match="cannot be opened"):
        move("postgresql://nobody@127.0.0.1:1/none")
