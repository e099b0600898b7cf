"""/settings/compute and /api/v1/compute: machines are entered, looked at, changed and removed."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from app.db import session_scope
from app.tables import Machine
from app.vault import unseal

pytestmark = pytest.mark.laptop
SSH = {"kind": "ssh", "name": "gpu1", "ssh:host": "gpu1.example.org", "ssh:user": "anna", "slots": "2"}


def machine() -> Machine:
    """The one machine as it stands."""
    with session_scope(write=False) as session:
        return session.exec(select(Machine)).one()


def test_a_machine_is_added_by_the_form_and_its_secret_never_shown(client: TestClient):
    done = client.post("/settings/compute", data={**SSH, "ssh:secret": "KEY-canary", "deadline_hours": "12"})
    assert done.status_code == 200, done.text[:500]
    row = machine()
    assert (row.name, row.slots, row.deadline_hours, row.state) == ("gpu1", 2, 12.0, "checking")
    assert unseal(row.sealed_secret).strip() == "KEY-canary"
    assert "gpu1.example.org" in done.text
    assert "canary" not in done.text
    assert "canary" not in client.get("/api/v1/compute").text


def test_wrong_values_are_said_by_the_fields_and_nothing_is_lost(client: TestClient):
    done = client.post("/settings/compute", data={**SSH, "name": "", "slots": "0", "deadline_hours": "soon"})
    assert done.status_code == 422
    for said in ("Give it a name", "runs at the same time", "Write hours", "gpu1.example.org"):
        assert said in done.text, said


def test_a_change_keeps_the_secret_and_a_removal_forgets_it(client: TestClient):
    client.post("/settings/compute", data={**SSH, "ssh:secret": "KEY"})
    row = machine()
    client.post(f"/settings/compute/{row.id}", data={**SSH, "ssh:host": "gpu2.example.org", "slots": "3"})
    row = machine()
    assert (row.fields["host"], row.slots, bool(row.sealed_secret)) == ("gpu2.example.org", 3, True)
    client.post(f"/settings/compute/{row.id}/remove")
    row = machine()
    assert (row.state, row.sealed_secret) == ("removed", "")
    assert client.get("/api/v1/compute").json()["machines"] == []


def test_the_api_lists_the_kinds_and_takes_machines(client: TestClient):
    found = client.get("/api/v1/compute").json()
    assert {"ssh", "by-hand"} <= {kind["name"] for kind in found["kinds"]}
    assert all(kind["deadline_kept_by"] for kind in found["kinds"])
    made = client.post(
        "/api/v1/compute", json={"name": "gpu1", "kind": "ssh", "fields": {"host": "h.example.org"}}
    )
    assert made.status_code in (201, 422), made.text
    wrong = client.post("/api/v1/compute", json={"name": "x", "kind": "abacus"})
    assert wrong.status_code == 422
