"""The master key lost, changed, damaged or open to others: pages work, keys are shown as unreadable, doctor says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.doctor import checks
from app.lab.actor import Actor
from app.providers import providers
from app.settings.access import place_of
from app.tables import Credential, Endpoint, EndpointState, Machine, MachineState
from app.vault import UNREADABLE, fingerprint, key_file, seal

SECRET = "sk-before-the-loss"
HARM: dict[str, Callable[[Path], object]] = {
    "lost": lambda path: path.unlink(),
    "changed": lambda path: path.write_bytes(Fernet.generate_key()),
    "damaged": lambda path: path.write_bytes(b"\xff not a key"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture
def keys(session: Session, actor: Actor) -> None:
    """A service's key, an endpoint and a machine, each with a secret."""
    own: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    place = place_of(None, providers()["together"])
    session.add_all(
        [
            Credential(**own, provider="together", host=place.host, state="ready", sealed_key=seal(SECRET)),
            Endpoint(
                **own,
                name="here",
                base_url="http://127.0.0.1:1/v1",
                model="m",
                state=EndpointState.READY,
                sealed_key=seal(SECRET),
            ),
            Machine(
                **own,
                name="box",
                kind="ssh",
                state=MachineState.READY,
                fields={"host": "box", "user": "me"},
                sealed_secret=seal(SECRET),
            ),
        ]
    )
    session.commit()


def master_key() -> tuple[bool, str, str]:
    """What doctor says of it."""
    check = next(each for each in checks() if each.name == "master key")
    return check.ok, check.found, check.to_do


@pytest.mark.laptop
@pytest.mark.parametrize("harm", HARM)
def test_keys_are_shown_as_unreadable_and_the_rest_works(
    client: TestClient, session: Session, keys: None, harm: str
) -> None:
    whole = key_file().read_bytes()
    assert UNREADABLE not in client.get("/settings").text
    assert master_key()[0]
    HARM[harm](key_file())
    for address in ("/settings", "/settings/services", "/settings/compute"):
        page = client.get(address)
        assert page.status_code == 200
        assert page.text.count(UNREADABLE) == 1, address
    for address in ("/", "/datasets", "/experiments", "/models", "/settings/budgets", "/healthz"):
        assert client.get(address).status_code == 200
    number = session.exec(select(Endpoint.id)).one()
    # A session that is read from holds SQLite's lock.
    session.rollback()
    assert client.post(f"/api/v1/endpoints/{number}/check").status_code < 500
    good, found, to_do = master_key()
    assert not good
    if harm in ("lost", "changed"):
        assert "3 stored secret(s) cannot be decrypted" in found
        assert "enter them again" in to_do
    key_file().write_bytes(whole)
    key_file().chmod(0o600)
    assert UNREADABLE not in client.get("/settings").text
    assert master_key()[0]


@pytest.mark.laptop
def test_a_key_that_others_can_read_is_named(home: Path) -> None:
    seal(SECRET)
    good, found, _ = master_key()
    assert good
    assert fingerprint(key_file().read_bytes()) in found
    key_file().chmod(0o644)
    good, _, to_do = master_key()
    assert not good
    assert f"chmod 600 '{key_file()}'" in to_do
    key_file().unlink()
    key_file().mkdir()
    good, found, _ = master_key()
    assert not good
    assert "cannot be read" in found
