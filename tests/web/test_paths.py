"""Names that try to leave their folder, on every route that gives a file; a canary beside the data folder stays so."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab.actor import Actor
from app.storage import run_folder
from tests.experiments.checked import checked_dataset, finish, launch
from tests.web.test_route_walk import ALL

pytestmark = pytest.mark.laptop
SECRET = "canary-outside-the-data-folder-4711"
UP = ("..", "%2e%2e", "%252e%252e", "%25252e%25252e", "..%00", "%c0%ae%c0%ae")
BETWEEN = ("/", "%2f", "%5c", "%252f")
NAMES = (
    *(f"{up}{slash}canary.txt" for up in UP for slash in BETWEEN),
    *(
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:%5cWindows%5cwin.ini",
        "file:%2f%2f%2fetc%2fpasswd",
        "~",
        "~root",
        "",
    ),
    *(
        "canary.txt%00.json",
        "config.json%00../canary.txt",
        "config.json/../../canary.txt",
        "CON",
        "nul",
        "a" * 3000,
    ),
    *("%2e", "%2e%2e", "log.txt%2f..%2f..%2fcanary.txt", "*", "?", "config.json%0d%0aset-cookie:x=1"),
)
# Routes that take a name: the parameter is no number.
NAMED = [path for method, path in ALL if method == "GET" and re.search(r"\{(?!\w*id\b)[^}]*\}", path)]


@pytest.fixture
def canary(home: Path, session: Session, actor: Actor) -> Iterator[Path]:
    """A file beside the data, one in a folder whose name begins like a run's, and links to it within a run."""
    checked = checked_dataset(session, actor)
    finish(launch(session, actor, checked, "baseline/majority")[1])
    outside = home.parent / "canary.txt"
    outside.write_text(SECRET)
    sibling = home / "runs" / "10"
    sibling.mkdir(parents=True)
    (sibling / "config.json").write_text(json.dumps({"secret": SECRET}))
    run = run_folder(1)
    for name in ("log.txt", "environment.json", "resolved.json", "metrics.jsonl"):
        (run / "out" / name).unlink(missing_ok=True)
        os.symlink(outside, run / "out" / name)
    os.symlink(outside, run / "planted.json")
    os.symlink(home.parent, run / "out" / "folder")
    os.symlink(home.parent, run / "out" / "adapter")
    before = outside.stat()
    yield outside
    assert outside.read_text() == SECRET
    assert outside.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.usefixtures("canary")
def test_no_name_leads_out_of_the_folder(client: TestClient) -> None:
    assert len(NAMES) >= 40
    assert len(NAMED) > 5
    for path in NAMED:
        for name in NAMES:
            address = re.sub(r"\{(?!\w*id\b)[^}]*\}", lambda _found, name=name: name, path)
            answer = client.get(re.sub(r"\{[^}]*\}", "1", address))
            assert SECRET not in answer.text, address
            assert "root:" not in answer.text, address
            assert answer.status_code < 500, address
            assert "set-cookie" not in answer.headers, address


@pytest.mark.usefixtures("canary")
def test_no_link_in_a_run_folder_is_followed(client: TestClient) -> None:
    names = ("log.txt", "environment.json", "resolved.json", "metrics.jsonl", "planted.json")
    for name in names:
        answer = client.get(f"/runs/1/files/{name}")
        assert answer.status_code == 404, name
    for path in ("/runs/1", "/runs/1/log", "/runs/1/bundle.zip", "/runs/1/weights.zip", "/api/v1/runs/1/log"):
        answer = client.get(path)
        assert SECRET.encode() not in answer.content, path
        assert answer.status_code < 500, path


@pytest.mark.parametrize(
    "name", ["../../canary.txt", "/etc/cron.d/x", "..\\..\\x", "a\x00b.jsonl", "x" * 4000, "\r\nx: y"]
)
def test_an_uploads_name_is_only_a_word(client: TestClient, home: Path, name: str) -> None:
    beside = {path for path in home.parent.iterdir() if path != home}
    answer = client.post("/api/v1/datasets", files={"file": (name, b'{"messages": []}\n')})
    assert answer.status_code < 500
    assert {path for path in home.parent.iterdir() if path != home} == beside
    assert {path.name for path in (home / "datasets").glob("*")} <= {"1", "1.rows"}
    if answer.status_code < 300:
        given = client.get("/api/v1/datasets/1/file").headers.get("content-disposition", "")
        assert "\r" not in given
        assert "\n" not in given
        assert "x" not in client.get("/api/v1/datasets/1/file").headers or name != "\r\nx: y"
