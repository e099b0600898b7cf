"""The master key lost, changed, damaged or open to others: pages work, keys are shown as unreadable, doctor says so."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import Session, select

from app.__main__ import tunebook
from app.backup import backup
from app.clock import in_seconds
from app.compute._base import Order, Site
from app.compute.jarvislabs.orders import keep_order, key_pair
from app.config import settings
from app.doctor import checks
from app.doctor_server import server_checks
from app.errors import Unavailable
from app.lab.actor import Actor
from app.log import hidden
from app.providers import providers
from app.settings.access import place_of
from app.tables import AuditEntry, Credential, Endpoint, EndpointState, Machine, MachineState
from app.vault import UNREADABLE, fingerprint, key_file, seal, unseal

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


@pytest.mark.laptop
def test_a_key_from_a_secret_file_leaves_none_in_the_data_folder(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path_factory.mktemp("secrets") / "vault_key"
    place.write_bytes(Fernet.generate_key() + b"\n")
    monkeypatch.setenv("TUNEBOOK_VAULT_KEY_FILE", str(place))
    settings.cache_clear()
    sealed = seal(SECRET)
    assert not key_file().exists()
    assert unseal(sealed) == SECRET
    good, found, _ = master_key()
    assert good
    assert f"TUNEBOOK_VAULT_KEY, fingerprint {fingerprint(place.read_bytes())}" in found
    assert hidden(f"key {place.read_text().strip()}") == "key [key]"
    key_file().write_bytes(Fernet.generate_key())
    assert "is not used" in master_key()[2]
    place.write_bytes(b"no key")
    settings.cache_clear()
    with pytest.raises(Unavailable, match="TUNEBOOK_VAULT_KEY is damaged"):
        seal(SECRET)


@pytest.mark.laptop
def test_secrets_in_the_files_of_places_count(home: Path, session: Session) -> None:
    """What a rented machine is to get when it is up lies sealed in a file until then."""
    site = Site("rented", {}, SECRET, home / "machines" / "1", False)
    keep_order(site, Order("tb-1", home / "runs" / "1", 60.0, hub_token=SECRET))
    assert key_pair(site)[0].startswith("-----BEGIN")
    (home / "backups").mkdir()
    assert backup(home / "backups" / "one.zip")[1].sealed == 2
    key_file().write_bytes(Fernet.generate_key())
    assert "2 stored secret(s) cannot be decrypted" in master_key()[1]


@pytest.mark.laptop
def test_the_age_of_the_last_backup_is_shown(client: TestClient, home: Path, session: Session) -> None:
    (home / "backups").mkdir(exist_ok=True)

    def last() -> Any:
        return next(each for each in server_checks() if each.name == "last backup")

    assert "none so far" in client.get("/lab").text
    assert last().ok, "nothing is lost yet"
    tunebook(["backup", str(home / "backups")], standalone_mode=False)
    page = client.get("/lab").text
    assert "none so far" not in page
    (line,) = [
        each for each in client.get("/metrics").text.splitlines() if each.startswith("tunebook_last_backup_t")
    ]
    assert time.time() - float(line.split()[1]) < 60
    assert last().ok
    session.execute(update(AuditEntry).values(at=in_seconds(-8 * 24 * 3600)))
    session.commit()
    assert not last().ok
    assert "each night" in last().to_do
