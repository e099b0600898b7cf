"""What the Settings page and the API show of hosted services: where they are, which keys there are, never the keys."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, or_, select

from app.clock import now
from app.lab.actor import Actor, owned
from app.providers import providers
from app.providers._base import Field, Provider
from app.settings.access import Place, choose, environment_host, environment_key, is_enabled, place_of
from app.tables import Credential, CredentialState, ProviderSetting, StoredOffer
from app.vault import UNREADABLE, is_readable


@dataclass(frozen=True)
class KeyLine:
    """One key as it is shown. `elsewhere`: it was entered for another host than the present one and is not sent;
    `used`: it is the one that this member's runs go with."""

    id: int
    whose: str
    from_environment: bool
    state: str
    note: str
    account: str
    host: str
    elsewhere: bool
    used: bool
    fields: dict[str, str]
    models: int
    checked_at: datetime | None

    @property
    def shown_state(self) -> str:
        """The state with its sign; a key that is not sent is no working key."""
        return "paused" if self.elsewhere else self.state


@dataclass(frozen=True)
class ServiceCard:
    """One provider. `source` of its base URL: settings, environment or published."""

    name: str
    label: str
    description: str
    can: tuple[str, ...]
    key_help: str
    docs_url: str
    fields: tuple[Field, ...]
    key_required: bool
    ends_on: str
    notice: str
    unverified: bool
    undisclosed: tuple[str, ...]
    enabled: bool
    base_url: str
    published_url: str
    source: str
    allow_private: bool
    keys: tuple[KeyLine, ...]

    @property
    def ended(self) -> bool:
        """Whether the day has passed on which the service was to end."""
        return bool(self.ends_on) and self.ends_on[:10] < now().date().isoformat()

    @property
    def checking(self) -> bool:
        """Whether a check is under way."""
        return any(key.state == CredentialState.CHECKING for key in self.keys)

    @property
    def state(self) -> tuple[str, str]:
        """(a state with a sign, words) for the card's head."""
        used = next((key for key in self.keys if key.used), None)
        if not self.enabled:
            return "cancelled", "off"
        if used is None:
            return ("ready", "no key needed") if not self.key_required else ("queued", "needs a key")
        words = {"ready": "ready", "checking": "checking", "failed": "key does not work"}
        return used.state, words.get(used.state, used.state)


def list_services(session: Session, actor: Actor) -> list[ServiceCard]:
    """All providers in the order of their files' names, in three statements."""
    settings = {row.provider: row for row in session.exec(select(ProviderSetting))}
    mine = or_(col(Credential.member_id) == actor.member_id, col(Credential.member_id).is_(None))
    rows: dict[str, list[Credential]] = {}
    for row in session.exec(
        owned(actor, Credential).where(Credential.state != CredentialState.REMOVED, mine)
    ):
        rows.setdefault(row.provider, []).append(row)
    ids = [row.id for own in rows.values() for row in own]
    counted = select(StoredOffer.credential_id, func.count()).where(
        col(StoredOffer.credential_id).in_(ids), col(StoredOffer.listed)
    )
    models = dict(session.exec(counted.group_by(col(StoredOffer.credential_id))).all()) if ids else {}
    return [
        _card(provider, settings.get(name), rows.get(name, []), models)
        for name, provider in providers().items()
    ]


def service_card(session: Session, actor: Actor, name: str) -> ServiceCard:
    """One of them; the caller knows that it is there."""
    return next(card for card in list_services(session, actor) if card.name == name)


def _card(
    provider: Provider, setting: ProviderSetting | None, rows: list[Credential], models: dict[int, int]
) -> ServiceCard:
    place = place_of(setting, provider)
    used = choose(rows, provider, place)
    shown = [row for row in rows if not row.from_environment or environment_key(provider)]
    shown.sort(key=lambda row: (row.from_environment, row.member_id is None))
    return ServiceCard(
        provider.name,
        provider.label,
        provider.description,
        abilities(provider),
        provider.key_help,
        provider.docs_url,
        provider.fields,
        provider.key_required,
        provider.ends_on,
        provider.notice,
        provider.unverified,
        provider.undisclosed,
        is_enabled(setting, provider),
        place.base_url,
        provider.base_url,
        place.source,
        place.allow_private,
        tuple(_line(row, provider, place, row is used, models.get(row.id or 0, 0)) for row in shown),
    )


def _line(row: Credential, provider: Provider, place: Place, used: bool, models: int) -> KeyLine:
    whose = "the environment's" if row.from_environment else "yours" if row.member_id else "the lab's"
    host = environment_host(provider) if row.from_environment else row.host
    lost = not is_readable(row.sealed_key)
    return KeyLine(
        row.id or 0,
        whose,
        row.from_environment,
        CredentialState.FAILED if lost else row.state,
        UNREADABLE if lost else row.note,
        row.account,
        host,
        host != place.host,
        used,
        {} if row.from_environment else {name: str(value) for name, value in row.fields.items()},
        models,
        row.checked_at,
    )


def abilities(provider: Provider) -> tuple[str, ...]:
    """What the service does, in words."""
    found = []
    if provider.training is not None:
        found.append("trains")
    if provider.training is not None and provider.returns_weights:
        found.append("returns weights")
    if provider.chat is not None:
        found.append("answers")
    if provider.batch is not None:
        found.append("batches")
    if provider.deploy is not None:
        found.append("deploys by the hour")
    return tuple(found)
