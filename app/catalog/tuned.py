"""The fine-tuned models of the lab's accounts: what a service says there is, whoever made it, and what is stored of each.

A worker fills the list when it looks at a key (app/settings/key_check.py). Called by routes, the API and home.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.catalog.offered import PROMPT
from app.catalog.shelf import Shelf, Shop, read_shelf
from app.clock import now
from app.lab.actor import Actor, owned, require_member
from app.providers._shapes import Offer
from app.settings.keys import ask_check
from app.tables import Credential, CredentialState, Dataset, DatasetState, RemoteJobRow, Run, RunState

OFFERED_DATASETS = 50
# A model that answers for this many more days is said to end soon.
SOON_DAYS = 60


@dataclass(frozen=True)
class TunedRow:
    """One fine-tuned model. `run_id`: the run here that trained it; `stored`: how many runs here have asked it;
    `days`: until it ends, None where no end is known."""

    model: str
    grid_id: str
    base: str
    provider: str
    made_at: datetime | None
    ends_on: str
    days: int | None
    price: str
    run_id: int | None
    stored: int
    askable: bool

    @property
    def soon(self) -> bool:
        """Whether it goes dark before long."""
        return self.days is not None and 0 <= self.days <= SOON_DAYS

    @property
    def ended(self) -> bool:
        """Whether it should no longer answer."""
        return self.days is not None and self.days < 0


@dataclass(frozen=True)
class Look:
    """When a service was last asked; `asking`: a worker is at it; `lacking`: why it cannot be asked."""

    label: str
    at: datetime | None
    asking: bool
    lacking: str


@dataclass(frozen=True)
class TunedPage:
    """The page: all of them, those that end first at the top; `datasets` are the newest ready ones as (id, name)."""

    rows: list[TunedRow]
    datasets: list[tuple[int, str]]
    looks: list[Look]


def tuned_page(session: Session, actor: Actor) -> TunedPage:
    """The models of every service that the member has a key for."""
    shelf = read_shelf(session, actor)
    ready = owned(actor, Dataset).where(Dataset.state == DatasetState.READY)
    newest = session.exec(ready.order_by(col(Dataset.id).desc()).limit(OFFERED_DATASETS))
    return TunedPage(
        tuned_rows(session, actor, shelf),
        [(row.id or 0, row.name) for row in newest],
        [
            Look(shop.provider.label, key.checked_at, key.state == CredentialState.CHECKING, shop.lacking)
            for shop, key in _asked_shops(shelf)
        ],
    )


def ask_again(session: Session, actor: Actor) -> None:
    """Has every service asked now for the models that its account has tuned."""
    require_member(actor, "ask the services")
    for _shop, key in _asked_shops(read_shelf(session, actor)):
        ask_check(session, actor, key.id or 0)


def _asked_shops(shelf: Shelf) -> list[tuple[Shop, Credential]]:
    """Services that tell what was tuned there, with the key that they are asked with."""
    return [
        (shop, shop.credential)
        for shop in shelf.shops.values()
        if shop.credential is not None and shop.provider.training and shop.provider.training.list_tuned
    ]


def tuned_rows(session: Session, actor: Actor, shelf: Shelf) -> list[TunedRow]:
    """All of them, in two statements."""
    found = [
        (name, offer) for name, shop in shelf.shops.items() for offer in shop.offers.values() if offer.base
    ]
    trained = _trained_here(session, actor, [offer.model for _name, offer in found])
    stored = _stored(session, actor, [grid_id(name, offer) for name, offer in found])
    today = now().date()
    rows = [
        TunedRow(
            offer.model,
            grid_id(name, offer),
            offer.base,
            shelf.shops[name].provider.label,
            _moment(offer.created_at),
            offer.ends_on,
            days_until(offer.ends_on, today),
            _price(offer),
            trained.get(offer.model),
            stored.get(grid_id(name, offer), 0),
            offer.can_chat and not shelf.shops[name].lacking,
        )
        for name, offer in found
    ]
    return sorted(rows, key=lambda row: (row.ended, row.days is None, row.days or 0, -_age(row), row.model))


def grid_id(provider: str, offer: Offer) -> str:
    """How the model stands on the grid."""
    return f"{PROMPT}/{provider}/{offer.model}"


def days_until(ends_on: str, today: date) -> int | None:
    """Days from today to an ISO date; None where there is none."""
    try:
        return (date.fromisoformat(ends_on[:10]) - today).days if ends_on else None
    except ValueError:
        return None


def _age(row: TunedRow) -> float:
    return row.made_at.timestamp() if row.made_at else 0.0


def _moment(seconds: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _price(offer: Offer) -> str:
    price = offer.price
    if price is None or price.input is None or price.output is None:
        return "not known"
    return f"${price.input:g} in, ${price.output:g} out / M"


def _trained_here(session: Session, actor: Actor, models: Iterable[str]) -> dict[str, int]:
    query = (
        select(RemoteJobRow.tuned_model, RemoteJobRow.run_id)
        .join(Run, col(Run.id) == col(RemoteJobRow.run_id))
        .where(Run.project_id == actor.project_id, col(RemoteJobRow.tuned_model).in_(list(models)))
    )
    return dict(session.exec(query).all())


def _stored(session: Session, actor: Actor, models: Iterable[str]) -> dict[str, int]:
    query = (
        select(Run.model, func.count())
        .where(
            Run.project_id == actor.project_id, Run.state == RunState.DONE, col(Run.model).in_(list(models))
        )
        .group_by(col(Run.model))
    )
    return dict(session.exec(query).all())
