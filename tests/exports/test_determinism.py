"""Nothing in an export depends on the machine: the same state in two data folders gives the same bytes."""

import hashlib
import io
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import db
from app.exports.machine import without_paths
from app.lab.actor import Actor, first_actor
from app.lab.sign_in import make_token
from app.tables import Run, TokenKind
from tests.exports.paper import API, answers, experiment, imported
from tests.fresh import forget_settings

pytestmark = pytest.mark.laptop
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FILES = ("comparisons/paper", "comparisons/bundle.zip", "comparisons/export")


def filled(
    session: Session, actor: Actor, client: TestClient, decoys: int, models: str, order: int
) -> list[int]:
    """Three runs of the same state; `decoys` shift every row's id, `models` is where this machine has its models,
    and `order` in which order the runs were made."""
    for n in range(decoys):
        other = experiment(session, actor, client, name=f"decoy {n}")
        imported(client, other, "decoy", answers("classification", range(9 + n)))
    made = experiment(session, actor, client)
    files = [("a", range(50)), ("b", range(50)), ("c", range(10, 60))][::order]
    runs = {name: imported(client, made, name, answers("classification", right)) for name, right in files}
    for seed, (name, run_id) in enumerate(sorted(runs.items()), 1):
        run = session.get_one(Run, run_id)
        run.model, run.seed = (f"hf/{models}/tiny-llama", seed) if name != "c" else (run.model, None)
        run.started_at, run.ended_at = START, START.replace(hour=10)
        run.ledger = ledger(models)
        run.snapshot = snapshot(run.snapshot)
        session.add(run)
    session.commit()
    return list(runs.values())


def ledger(models: str) -> dict[str, Any]:
    """A ledger that names a folder of this machine."""
    return {
        "learning_rate": {"asked": 2e-4, "sent": 2e-4, "resolved": 2e-4, "source": "you"},
        "base": {"asked": None, "sent": f"{models}/tiny-llama", "resolved": None, "source": "our default"},
    }


def snapshot(stored: dict[str, Any]) -> dict[str, Any]:
    """The snapshot with a fixed time and hardware."""
    return {
        **{name: value for name, value in stored.items() if name != "imported"},
        "code": "0.1.0",
        "environment": {
            "hardware": {"cpu": "A CPU", "cores": 2, "memory_bytes": 8_000_000_000, "gpu": None},
            "threads": 2,
            "python": "3.12.1",
            "packages": {"torch": "2.13.0", "peft": "0.21.2"},
        },
        "usage": {"train_seconds": 12.5, "tokens_trained": 1000},
    }


def exports(client: TestClient, runs: list[int]) -> dict[str, bytes]:
    """Every export of these runs."""
    chosen = ",".join(map(str, runs))
    addresses = [
        f"{API}/comparisons/paper?runs={chosen}",
        f"{API}/comparisons/bundle.zip?runs={chosen}&data=true",
    ]
    addresses += [
        f"{API}/comparisons/export?runs={chosen}&what={what}&format={form}"
        for what in ("predictions", "wide", "scores")
        for form in ("csv", "csv-raw", "jsonl", "parquet")
    ]
    found = {address.replace(chosen, "RUNS"): client.get(address) for address in addresses}
    assert {answer.status_code for answer in found.values()} == {200}
    return {address: answer.content for address, answer in found.items()}


def test_two_machines_same_bytes(
    home: Path,
    migrated: Path,
    session: Session,
    actor: Actor,
    client: TestClient,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from app.main import create_app

    one = exports(client, filled(session, actor, client, 0, "/srv/models", 1))
    elsewhere = tmp_path_factory.mktemp("another machine")
    shutil.copy(migrated, elsewhere / "tunebook.db")
    monkeypatch.setenv("TUNEBOOK_DATA", str(elsewhere))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    forget_settings(close=True)
    with db.new_session() as other:
        who = first_actor(other)
        secret = make_token(other, who, TokenKind.API, "tests")
        other.commit()
        headers = {"authorization": f"Bearer {secret}"}
        with TestClient(create_app(), base_url="http://localhost", headers=headers) as opened:
            runs = filled(other, who, opened, 2, "/home/ada/my models", -1)
            two = exports(opened, runs[::-1])
    assert one.keys() == two.keys()
    different = [name for name in one if one[name] != two[name]]
    assert not different, [_first_difference(one[name], two[name]) for name in different]
    everything = b"".join(one.values())
    assert b"/srv/models" not in everything
    assert b"hf/tiny-llama" in everything


def _first_difference(one: bytes, two: bytes) -> object:
    if one[:2] == b"PK":
        a, b = (zipfile.ZipFile(io.BytesIO(data)) for data in (one, two))
        names = set(a.namelist()) ^ set(b.namelist())
        same = [name for name in a.namelist() if name not in names]
        return (
            names
            or [
                (name, _first_difference(a.read(name), b.read(name)))
                for name in same
                if a.read(name) != b.read(name)
            ][:2]
        )
    place = next(
        (i for i, (x, y) in enumerate(zip(one, two, strict=False)) if x != y), min(len(one), len(two))
    )
    return one[max(0, place - 80) : place + 80], two[max(0, place - 80) : place + 80]


def test_the_same_export_twice_is_the_same(session: Session, actor: Actor, client: TestClient) -> None:
    runs = filled(session, actor, client, 0, "/srv/models", 1)
    first, again = exports(client, runs), exports(client, runs)
    assert {name: hashlib.sha256(data).digest() for name, data in first.items()} == {
        name: hashlib.sha256(data).digest() for name, data in again.items()
    }


def test_paths_are_cut_to_their_last_part() -> None:
    stored = {
        "model": "hf//srv/models/tiny/", "path": "~/x/y", "windows": "C:\\models\\z", "hub": "hf/owner/name",
        "text": "a / b", "list": ["/a/b", 1, None], "launch_key": "tb-1", "label": "N/A", "long": "/a\n/b",
    }  # fmt: skip
    assert without_paths(stored) == {
        "model": "hf/tiny", "path": "y", "windows": "z", "hub": "hf/owner/name", "text": "a / b",
        "list": ["b", 1, None], "label": "N/A", "long": "/a\n/b",
    }  # fmt: skip
