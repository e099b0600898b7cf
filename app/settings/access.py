"""Where a hosted service is reached, and with whose key. Called by launches, by workers and by the settings page.

A key is sent to the host alone that it was entered for: a key of the page to `credential.host`, a key of the
environment to the environment's base URL, or to the published one.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from sqlalchemy import or_
from sqlmodel import Session, col, select

from app.config import Settings
from app.errors import KeyRefused
from app.log import hide
from app.outside import outside_client
from app.providers._base import Provider
from app.service_http import Access, Api
from app.tables import Credential, CredentialState, ProviderSetting
from app.vault import unseal

CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Where a provider is: its base URL, who says so ("settings", "environment" or "published"), and whether that
    host may lie at a private address."""

    base_url: str
    source: str
    allow_private: bool

    @property
    def host(self) -> str:
        """scheme://host:port of the base URL."""
        return origin(self.base_url)


def access_for(
    session: Session, provider: Provider, project_id: int, member_id: int
) -> tuple[Access, int | None, bool]:
    """(access, the credential's id or None, whether its host may be private).

    The member's own key goes before the lab's, both before the environment's. Without a key that was entered for the
    present host the access has an empty key: see `missing`.
    """
    place = place_of(session.get(ProviderSetting, provider.name), provider)
    mine = or_(col(Credential.member_id) == member_id, col(Credential.member_id).is_(None))
    found = select(Credential).where(
        Credential.project_id == project_id,
        Credential.provider == provider.name,
        Credential.host == place.host,
        Credential.state != CredentialState.REMOVED,
        mine,
    )
    row = choose(session.exec(found), provider, place)
    return access_of(row, provider, place), row.id if row else None, place.allow_private


def choose(rows: Iterable[Credential], provider: Provider, place: Place) -> Credential | None:
    """The one that is used of the credentials that a member may use."""
    usable = [
        row
        for row in rows
        if row.host == place.host
        and row.state != CredentialState.REMOVED
        and (not row.from_environment or environment_key(provider))
    ]
    return min(
        usable, key=lambda row: (row.from_environment, row.member_id is None, -(row.id or 0)), default=None
    )


def access_of(row: Credential | None, provider: Provider, place: Place) -> Access:
    """What is sent with one credential, or with none but the environment's."""
    fields = environment_fields(provider)
    if row is not None and row.host != place.host:
        return Access(provider.label, place.base_url, "", fields)
    if row is not None and not row.from_environment:
        fields |= {name: str(value) for name, value in row.fields.items() if value}
        return Access(provider.label, place.base_url, unseal(row.sealed_key), fields)
    key = environment_key(provider) if place.host == environment_host(provider) else ""
    return Access(provider.label, place.base_url, key, fields)


def place_of(row: ProviderSetting | None, provider: Provider) -> Place:
    """The base URL in force: the settings page's, else the environment's, else the published one."""
    allow_private = row.allow_private if row else False
    if row and row.base_url:
        return Place(row.base_url, "settings", allow_private)
    given = variable(provider, "BASE_URL").rstrip("/")
    if given:
        return Place(given, "environment", allow_private)
    return Place(provider.base_url, "published", allow_private)


def is_enabled(row: ProviderSetting | None, provider: Provider) -> bool:
    """Whether runs may be launched there; services that nobody has verified are off until an admin says so."""
    return row.enabled if row else not provider.unverified


def missing(provider: Provider, access: Access) -> str:
    """What must be entered before the service can be used, in words; "" when nothing is missing."""
    if not access.base_url:
        return "a base URL"
    if provider.key_required and not access.key:
        return "a key"
    lacking = [each.label for each in provider.fields if each.required and not access.fields.get(each.name)]
    return ", ".join(lacking)


@contextmanager
def open_api(access: Access, provider: Provider, allow_private: bool) -> Iterator[Api]:
    """The service, for as long as the block lasts; may be shared by threads. Only public addresses are reached, at
    every connection and redirect; `allow_private` makes an exception for the base URL's own host. Raises KeyRefused
    when something must be entered first."""
    lacking = missing(provider, access)
    if lacking:
        raise KeyRefused(f"{provider.label} needs {lacking}.", "Enter it on the Settings page.")
    own = urlsplit(access.base_url).hostname or ""
    with outside_client(CALL_SECONDS, own if allow_private else "") as client:
        yield provider.connect(access, client)


def origin(url: str) -> str:
    """scheme://host:port in lower case, with the port that the scheme implies."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}" if host else ""


def environment_key(provider: Provider) -> str:
    """The key that the environment or .env gives, or ""."""
    key = variable(provider, "API_KEY")
    hide(key)
    return key


def environment_host(provider: Provider) -> str:
    """The host that the environment's key was given for."""
    return origin(variable(provider, "BASE_URL") or provider.base_url)


def environment_fields(provider: Provider) -> dict[str, str]:
    """The provider's fields that the environment or .env gives."""
    found = {field.name: variable(provider, field.name) for field in provider.fields}
    return {name: value for name, value in found.items() if value}


def variable(provider: Provider, name: str) -> str:
    """TUNEBOOK_<PROVIDER>_<NAME> of the environment, else of .env; "" when neither has it."""
    full = f"TUNEBOOK_{provider.name}_{name}".upper().replace("-", "_")
    file = Settings.model_config.get("env_file")
    written = _written(Path(str(file)).resolve()) if file else {}
    return (os.environ.get(full) or written.get(full) or "").strip()


@lru_cache
def _written(file: Path) -> dict[str, str]:
    """What .env says of ours, read once as all settings are."""
    found = dotenv_values(file) if file.is_file() else {}
    return {name.upper(): value for name, value in found.items() if value}
