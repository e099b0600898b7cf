"""Changes to keys and addresses of hosted services. Called by the settings page and the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Forbidden, Invalid, NotFound
from app.lab.actor import Actor, find, require_admin, require_member
from app.outside import clean_base_url
from app.providers import providers
from app.providers._base import Provider
from app.queue import CHECK_CREDENTIAL, enqueue
from app.settings.access import is_enabled, place_of
from app.tables import Credential, CredentialState, ProviderSetting
from app.vault import seal

LONGEST_KEY, LONGEST_FIELD = 4000, 500


@dataclass(frozen=True)
class NewKey:
    """What a person enters: the key, what the service needs beside it, and whether it is the lab's or their own."""

    key: str = field(default="", repr=False)
    fields: Mapping[str, str] = field(default_factory=dict)
    for_lab: bool = True


def find_provider(name: str) -> Provider:
    """The provider of that name; raises NotFound."""
    provider = providers().get(name)
    if provider is None:
        raise NotFound(
            f"There is no provider {name[:50]!r}.", f"There are: {', '.join(providers()) or 'none'}."
        )
    return provider


def store_key(session: Session, actor: Actor, name: str, new: NewKey) -> Credential:
    """Stores a key for the service's present address and asks for its check; it takes the place of the one before,
    the lab's or the member's own. Raises Invalid with a message per field."""
    provider = find_provider(name)
    if new.for_lab:
        require_admin(actor, "set the lab's keys")
    else:
        require_member(actor, "use a key of your own")
    place = place_of(session.get(ProviderSetting, name), provider)
    wrong = _wrong(provider, new)
    if not place.base_url:
        wrong["key"] = "Enter the base URL first."
    if wrong:
        raise Invalid("The key is not stored: " + " ".join(wrong.values()), "See the marked fields.", wrong)
    member_id = None if new.for_lab else actor.member_id
    row = _stored(session, actor, name, member_id)
    if row is None:
        row = Credential(
            project_id=actor.project_id, maker_id=actor.member_id, provider=name, member_id=member_id, host=""
        )
    row.sealed_key, row.host, row.account = seal(new.key), place.host, ""
    row.fields = {
        one.name: value for one in provider.fields if (value := new.fields.get(one.name, "").strip())
    }
    return _ask(session, row)


def _wrong(provider: Provider, new: NewKey) -> dict[str, str]:
    wrong = {}
    if provider.key_required and not new.key:
        wrong["key"] = "Enter the key."
    elif len(new.key) > LONGEST_KEY:
        wrong["key"] = f"A key has at most {LONGEST_KEY:,} characters."
    elif not new.key.isascii() or not new.key.isprintable() or " " in new.key:
        wrong["key"] = "This holds characters that cannot be sent: copy it again from where it was made."
    known = {one.name: one for one in provider.fields}
    for name, value in new.fields.items():
        if name not in known:
            wrong[name] = f"{provider.label} has no field {name[:50]!r}."
        elif len(value) > LONGEST_FIELD or not value.isprintable() or not value.isascii():
            wrong[name] = f"{known[name].label}: use at most {LONGEST_FIELD} plain characters."
    for name, one in known.items():
        if one.required and not new.fields.get(name, "").strip():
            wrong[name] = f"{one.label}: fill this in."
    return wrong


def _stored(session: Session, actor: Actor, name: str, member_id: int | None) -> Credential | None:
    whose = col(Credential.member_id).is_(None) if member_id is None else Credential.member_id == member_id
    return session.exec(
        select(Credential).where(
            Credential.project_id == actor.project_id,
            Credential.provider == name,
            Credential.state != CredentialState.REMOVED,
            col(Credential.from_environment).is_(False),
            whose,
        )
    ).first()


def find_key(session: Session, actor: Actor, credential_id: int, change: bool = True) -> Credential:
    """A credential that the actor may use: the lab's or their own. `change`: the lab's is an admin's to change."""
    row: Credential = find(session, actor, Credential, credential_id)
    if row.state == CredentialState.REMOVED or row.member_id not in (None, actor.member_id):
        raise NotFound(
            f"There is no credential {credential_id} here.", "Look at the keys on the Settings page."
        )
    if change and row.member_id is None:
        require_admin(actor, "change the lab's keys")
    return row


def ask_check(session: Session, actor: Actor, credential_id: int) -> Credential:
    """Asks the worker to try the key; its state is `checking` until it has."""
    return _ask(session, find_key(session, actor, credential_id, change=False))


def _ask(session: Session, row: Credential) -> Credential:
    row.state, row.due_at = CredentialState.CHECKING, None
    session.add(row)
    session.flush()
    enqueue(session, CHECK_CREDENTIAL, row.id or 0)
    return row


def look_soon(session: Session, credential_id: int | None) -> None:
    """Has a working key's models listed anew by the next sweep: the account has one more."""
    row = session.get(Credential, credential_id) if credential_id else None
    if row is not None and row.state == CredentialState.READY:
        row.due_at = now()
        session.add(row)
        session.flush()


def remove_key(session: Session, actor: Actor, credential_id: int) -> None:
    """Forgets the key. Its row stays for the runs that name it; runs that still need it wait for another."""
    row = find_key(session, actor, credential_id)
    if row.from_environment:
        raise Forbidden(
            "This key stands in Tunebook's environment.", "Take it out of the environment and start again."
        )
    row.sealed_key, row.fields, row.removed_at = "", {}, now()
    row.state, row.due_at = CredentialState.REMOVED, None
    session.add(row)
    session.flush()


def set_provider(
    session: Session,
    actor: Actor,
    name: str,
    enabled: bool | None = None,
    base_url: str | None = None,
    allow_private: bool | None = None,
) -> ProviderSetting:
    """Sets what is given. Keys stay with the host that they were entered for: after a change of host they are asked
    for again, and the service's paused runs wait for them."""
    require_admin(actor, "set where services are and whether they are used")
    provider = find_provider(name)
    row = session.get(ProviderSetting, name)
    if row is None:
        row = ProviderSetting(provider=name, enabled=is_enabled(None, provider))
    row.enabled = row.enabled if enabled is None else enabled
    row.allow_private = row.allow_private if allow_private is None else allow_private
    if base_url is not None:
        given = clean_base_url(base_url, row.allow_private) if base_url.strip() else ""
        row.base_url = "" if given == provider.base_url else given
    session.add(row)
    session.flush()
    place = place_of(row, provider)
    for credential in session.exec(
        select(Credential).where(Credential.provider == name, Credential.host == place.host)
    ):
        if credential.state not in (CredentialState.REMOVED, CredentialState.CHECKING):
            _ask(session, credential)
    return row
