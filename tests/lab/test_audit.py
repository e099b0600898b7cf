"""The audit log: every change and every download has a line, and only admins read it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.actor import Actor
from app.lab.passwords import hash_password
from app.tables import AuditEntry, Member, ProjectMember
from tests.stack import rule_rows
from workers.datasets import check as check_dataset


def entries(session: Session) -> list[tuple[str, str, str]]:
    session.expire_all()
    rows = session.exec(select(AuditEntry).order_by(AuditEntry.id)).all()  # type: ignore[arg-type]
    found = [(row.member_name, row.action, row.noun) for row in rows]
    session.rollback()
    return found


def upload(client: TestClient) -> int:
    answer = client.post("/api/v1/datasets", files={"file": ("rule.jsonl", rule_rows(40).encode())})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_a_change_and_a_download_each_have_one_line(client: TestClient, session: Session, home: Path) -> None:
    dataset_id = upload(client)
    assert [line[1] for line in entries(session)] == ["changed"]
    assert client.get("/api/v1/datasets").status_code == 200
    assert client.get(f"/api/v1/datasets/{dataset_id}/file").status_code == 200
    assert entries(session)[1:] == [("Lab", "downloaded", "dataset: get file")]
    (row,) = session.exec(select(AuditEntry).where(AuditEntry.action == "downloaded")).all()
    assert (row.object_id, row.by) == (dataset_id, "token")


def test_what_is_refused_or_changes_nothing_has_no_line(client: TestClient, session: Session) -> None:
    assert client.post("/api/v1/runs/77/cancel").status_code == 404
    assert client.get("/api/v1/datasets/77/file").status_code == 404
    assert entries(session) == []


def test_a_launch_has_its_own_line_and_a_plan_none(client: TestClient, session: Session) -> None:
    dataset_id = upload(client)
    check_dataset(dataset_id)
    body = {"dataset_id": dataset_id, "models": [{"model": "baseline/majority"}], "seeds": [1, 2]}
    planned = client.post("/api/v1/experiments", json=body | {"dry_run": True})
    assert planned.status_code in (200, 201), planned.text
    launched = client.post("/api/v1/experiments", json=body)
    assert launched.status_code == 201, launched.text
    assert entries(session)[1:] == [("Lab", "launched", "experiment")]
    (row,) = session.exec(select(AuditEntry).where(AuditEntry.action == "launched")).all()
    assert (row.object_id, row.about["runs"]) == (launched.json()["id"], 1)


def test_signing_in_and_failing_to_have_a_line(client: TestClient, session: Session, actor: Actor) -> None:
    member = session.get_one(Member, actor.member_id)
    member.email, member.password_hash = "anna@example.org", hash_password("correct horse 1")
    session.commit()
    headers = {"sec-fetch-site": "same-origin"}
    for password in ("wrong horse 1", "correct horse 1"):
        client.post("/sign-in", data={"email": "anna@example.org", "password": password}, headers=headers)
    assert entries(session) == [("", "refused", "session"), ("Lab", "signed in", "session")]


@pytest.mark.laptop
def test_the_page_filters_and_the_csv_has_every_line(client: TestClient, session: Session) -> None:
    dataset_id = upload(client)
    client.get(f"/api/v1/datasets/{dataset_id}/file")
    page = client.get("/lab/audit?action=downloaded")
    assert page.status_code == 200
    assert "dataset: get file" in page.text
    assert "post dataset" not in page.text
    lines = client.get("/lab/audit.csv").text.splitlines()
    assert lines[0] == "id,time,member,by,project,action,object,object_id,about"
    # The download of the log itself is the newest line.
    assert [line.split(",")[5] for line in lines[1:]] == ["downloaded", "downloaded", "changed"]
    shown = client.get("/api/v1/audit", params={"noun": "nothing"}).json()
    assert shown["entries"] == []
    assert client.get("/lab/audit?first=yesterday").status_code == 200


def test_only_an_admin_reads_it(client: TestClient, session: Session, actor: Actor) -> None:
    member = session.get_one(Member, actor.member_id)
    member.role = "member"
    session.add_all([member, ProjectMember(project_id=actor.project_id, member_id=actor.member_id)])
    session.commit()
    for path in ("/lab/audit", "/lab/audit.csv", "/api/v1/audit"):
        assert client.get(path).status_code == 403, path
