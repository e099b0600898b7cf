"""Which key and which address a hosted service is called with."""

from pathlib import Path

import httpx
import pytest
from sqlmodel import Session

from app.config import Settings
from app.errors import KeyRefused, Refused, Unclear
from app.lab.actor import Actor
from app.settings import access
from app.settings.access import access_for, missing, open_api, origin
from app.tables import Credential, Member, ProviderSetting
from app.vault import seal
from tests.emulator.openai_chat import chat_server
from tests.fresh import forget_settings
from tests.settings.services import access_of, make_provider

ACME = make_provider()
HOST = "https://api.acme.example:443"


def put(session: Session, actor: Actor, key: str, member: int | None = None, host: str = HOST) -> int:
    row = Credential(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        provider="acme",
        member_id=member,
        sealed_key=seal(key),
        host=host,
        fields={"account": "lab"} if member is None else {},
    )
    session.add(row)
    session.flush()
    return row.id or 0


def test_own_key_before_the_labs_before_the_environments(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_ACME_API_KEY", "from-environment")
    monkeypatch.setenv("TUNEBOOK_ACME_ACCOUNT", "home")
    where = (session, ACME, actor.project_id, actor.member_id)
    found, credential, _ = access_for(*where)
    assert (found.key, credential, found.fields["account"]) == ("from-environment", None, "home")
    lab = put(session, actor, "of-the-lab")
    found, credential, _ = access_for(*where)
    assert (found.key, credential, found.fields["account"]) == ("of-the-lab", lab, "lab")
    other = Member(name="Other")
    session.add(other)
    session.flush()
    put(session, actor, "of-another", other.id)
    own = put(session, actor, "my-own", actor.member_id)
    found, credential, _ = access_for(*where)
    assert (found.key, credential) == ("my-own", own)
    assert access_for(session, ACME, actor.project_id, other.id or 0)[0].key == "of-another"
    assert "my-own" not in repr(found)


def test_keys_stay_at_the_host_they_were_entered_for(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_ACME_API_KEY", "from-environment")
    put(session, actor, "of-the-lab")
    session.add(ProviderSetting(provider="acme", base_url="https://elsewhere.example/v1"))
    session.flush()
    found, credential, _ = access_for(session, ACME, actor.project_id, actor.member_id)
    assert (found.base_url, found.key, credential) == ("https://elsewhere.example/v1", "", None)
    assert missing(ACME, found) == "a key"
    with pytest.raises(KeyRefused, match="Acme needs a key"), open_api(found, ACME, False):
        pass


def test_environments_key_goes_to_the_environments_address(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_ACME_API_KEY", "from-environment")
    monkeypatch.setenv("TUNEBOOK_ACME_BASE_URL", "https://gateway.example/acme/")
    found = access_for(session, ACME, actor.project_id, actor.member_id)[0]
    assert (found.base_url, found.key) == ("https://gateway.example/acme", "from-environment")


@pytest.mark.laptop
def test_env_file_is_read_too(
    session: Session, actor: Actor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "env").write_text("TUNEBOOK_ACME_API_KEY='of the file'\n")
    monkeypatch.setitem(Settings.model_config, "env_file", str(home / "env"))
    access._written.cache_clear()
    assert access_for(session, ACME, actor.project_id, actor.member_id)[0].key == "of the file"


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
def test_private_addresses_by_setting_or_for_the_providers_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat_server() as server:
        found = access_of(server.base_url)
        with open_api(found, ACME, False) as api, pytest.raises(Refused, match="not a public address"):
            api.get("models")
        with open_api(found, ACME, True) as api:
            with pytest.raises(Unclear, match="answered 501"):
                api.get("nothing-here")
            with pytest.raises(httpx.TransportError, match="not a public address"):
                api.client.get(server.base_url.replace("127.0.0.1", "localhost"))
        monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
        forget_settings()
        with open_api(found, ACME, False) as api, pytest.raises(Unclear, match="answered 501"):
            api.get("nothing-here")


def test_origins() -> None:
    assert origin("HTTPS://Api.Example.org/v1") == "https://api.example.org:443"
    assert origin("http://[::1]:8000/v1") == "http://[::1]:8000"
    assert origin("") == ""
