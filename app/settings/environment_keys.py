"""Rows for the keys that stand in the environment, so that they are checked and list models as stored ones do.
Called by the sweep; cheap where the environment holds no key."""

import hashlib

from sqlmodel import Session, col, select

from app.db import session_scope
from app.providers import providers
from app.providers._base import Provider
from app.settings.access import environment_host, environment_key
from app.tables import Credential, CredentialState, Member, Project


def note_environment() -> list[int]:
    """Sees that each key of the environment has its row, and gives the rows that are to be checked: those of new
    keys, of other keys and of other addresses."""
    given = [provider for provider in providers().values() if environment_key(provider)]
    if not given:
        return []
    with session_scope(write=False) as session:
        if not _changed(session, given):
            return []
    with session_scope() as session:
        # Two sweeps at once make no two rows.
        session.exec(select(Project).with_for_update()).all()
        return [_note(session, project, provider) for project, provider in _changed(session, given)]


def _changed(session: Session, given: list[Provider]) -> list[tuple[int, Provider]]:
    rows = session.exec(select(Credential).where(col(Credential.from_environment)))
    known = {(row.project_id, row.provider, row.host, row.fields.get("print")) for row in rows}
    return [
        (project, provider)
        for project in session.exec(select(Project.id))
        for provider in given
        if project is not None
        and (project, provider.name, environment_host(provider), _print(provider)) not in known
    ]


def _note(session: Session, project_id: int, provider: Provider) -> int:
    row = session.exec(
        select(Credential).where(
            col(Credential.from_environment),
            Credential.project_id == project_id,
            Credential.provider == provider.name,
        )
    ).first()
    if row is None:
        maker = session.exec(select(Member.id).order_by(col(Member.id)).limit(1)).one()
        row = Credential(
            project_id=project_id, maker_id=maker or 0, provider=provider.name, host="", from_environment=True
        )
    row.host, row.fields = environment_host(provider), {"print": _print(provider)}
    row.state, row.due_at = CredentialState.CHECKING, None
    session.add(row)
    session.flush()
    return row.id or 0


def _print(provider: Provider) -> str:
    """Tells one key from another and gives neither away."""
    return hashlib.sha256(environment_key(provider).encode()).hexdigest()[:12]
