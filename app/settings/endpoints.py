"""Endpoints: OpenAI-compatible addresses with their key. Called by the settings page, the API and judgings."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, find, owned, require_admin
from app.outside import clean_base_url
from app.queue import CHECK_ENDPOINT, enqueue
from app.tables import Endpoint, EndpointState, Judging, JudgingState
from app.vault import UNREADABLE, is_readable, seal

MOST = 50
DEAREST = 100_000.0
SIZES = {"name": 100, "base_url": 500, "model": 200, "key": 1000}


@dataclass(frozen=True)
class NewEndpoint:
    """What a person enters. Prices in dollars for a million tokens; None: not known."""

    name: str
    base_url: str
    model: str
    key: str = ""
    input_price: float | None = None
    output_price: float | None = None


@dataclass(frozen=True)
class EndpointLine:
    """One endpoint as it is shown: never its key, only whether there is one."""

    id: int
    name: str
    base_url: str
    model: str
    has_key: bool
    input_microdollars: int | None
    output_microdollars: int | None
    state: str
    note: str
    checked_at: datetime | None


def list_endpoints(session: Session, actor: Actor) -> list[EndpointLine]:
    """The project's endpoints, oldest first."""
    rows = session.exec(
        owned(actor, Endpoint).where(col(Endpoint.removed_at).is_(None)).order_by(col(Endpoint.id))
    )
    return [line(row) for row in rows]


def line(row: Endpoint) -> EndpointLine:
    """The endpoint without its secret."""
    lost = not is_readable(row.sealed_key)
    return EndpointLine(
        row.id or 0,
        row.name,
        row.base_url,
        row.model,
        bool(row.sealed_key),
        row.input_microdollars,
        row.output_microdollars,
        EndpointState.FAILED if lost else row.state,
        UNREADABLE if lost else row.note,
        row.checked_at,
    )


def find_endpoint(session: Session, actor: Actor, endpoint_id: int) -> Endpoint:
    """The endpoint; raises NotFound for one that is removed or another project's."""
    row: Endpoint = find(session, actor, Endpoint, endpoint_id)
    if row.removed_at is not None:
        raise NotFound(f"Endpoint {endpoint_id} was removed.", "Enter it again on the Settings page.")
    return row


def add_endpoint(session: Session, actor: Actor, new: NewEndpoint) -> Endpoint:
    """Stores an endpoint, its key sealed, and asks for a first check. Raises Invalid with a message per field."""
    require_admin(actor, "add endpoints")
    wrong = _wrong(new)
    base_url = ""
    try:
        base_url = clean_base_url(new.base_url)
    except Invalid as error:
        wrong |= error.fields
    live = owned(actor, Endpoint).where(col(Endpoint.removed_at).is_(None)).subquery()
    names = session.exec(select(live.c.name)).all()
    if new.name in names:
        wrong["name"] = "There is an endpoint of this name."
    if len(names) >= MOST:
        wrong["name"] = f"There are {len(names)} endpoints already: remove one."
    if wrong:
        raise Invalid(
            "The endpoint is not added: " + " ".join(wrong.values()), "See the marked fields.", wrong
        )
    made = Endpoint(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=new.name,
        base_url=base_url,
        model=new.model,
        sealed_key=seal(new.key),
        input_microdollars=_micro(new.input_price),
        output_microdollars=_micro(new.output_price),
    )
    session.add(made)
    session.flush()
    return ask_check(session, actor, made.id or 0)


def _wrong(new: NewEndpoint) -> dict[str, str]:
    wrong = {}
    for name, size in SIZES.items():
        value = getattr(new, name)
        if not value and name != "key":
            wrong[name] = "Fill this in."
        elif len(value) > size:
            wrong[name] = f"Use at most {size} characters."
        elif not value.isprintable() or (name == "key" and (" " in value or not value.isascii())):
            wrong[name] = "This holds characters that cannot be sent."
    for name in ("input_price", "output_price"):
        price = getattr(new, name)
        if price is not None and not 0 <= price <= DEAREST:
            wrong[name] = f"Give dollars for a million tokens, from 0 to {DEAREST:,.0f}."
    if (new.input_price is None) != (new.output_price is None):
        wrong["output_price"] = "Give both prices or neither."
    return wrong


def _micro(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * 1e6)


def replace_key(session: Session, actor: Actor, endpoint_id: int, key: str) -> Endpoint:
    """Stores another key ("" for none), and asks for a check with it."""
    require_admin(actor, "change the keys of endpoints")
    row = find_endpoint(session, actor, endpoint_id)
    told = _wrong(NewEndpoint("x", "x", "x", key)).get("key", "")
    if told:
        raise Invalid(
            "The key is not stored: " + told, "Copy it again from where it was made.", {"key": told}
        )
    row.sealed_key = seal(key)
    return ask_check(session, actor, endpoint_id)


def ask_check(session: Session, actor: Actor, endpoint_id: int) -> Endpoint:
    """Asks the worker to try the endpoint."""
    row = find_endpoint(session, actor, endpoint_id)
    row.state, row.due_at = EndpointState.CHECKING, None
    session.add(row)
    session.flush()
    enqueue(session, CHECK_ENDPOINT, endpoint_id)
    return row


def remove_endpoint(session: Session, actor: Actor, endpoint_id: int) -> None:
    """Takes the endpoint off the list and forgets its key. Raises Conflict while a judging needs it."""
    require_admin(actor, "remove endpoints")
    row: Endpoint = find(session, actor, Endpoint, endpoint_id)
    busy = session.exec(
        select(func.count())
        .select_from(Judging)
        .where(
            Judging.endpoint_id == endpoint_id,
            col(Judging.state).in_((JudgingState.QUEUED, JudgingState.WORKING)),
        )
    ).one()
    if busy:
        raise Conflict(f"{busy} judging(s) are using {row.name}.", "Wait until they end, or cancel them.")
    row.removed_at, row.sealed_key, row.state = row.removed_at or now(), "", EndpointState.NEW
    session.add(row)
    session.flush()
