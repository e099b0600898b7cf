"""Models of services as they are stored: what lists and single looks said. Called by the workers and by the catalog."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import msgspec
from sqlmodel import Session, col, select

from app.clock import now
from app.providers._base import Provider
from app.providers._shapes import Offer, Price, TunedModel
from app.queue import LOOK_AT_MODEL, enqueue
from app.tables import Credential, StoredOffer

# A service's own JSON of a model is kept up to this size: some providers read it again.
LARGEST_RAW = 20_000
MOST_OFFERS = 3000
# A look that was not answered is asked for again after this time, and what it said is believed this long.
ASK_AGAIN = timedelta(seconds=15)
BELIEVE = timedelta(days=1)


def facts_of(offer: Offer) -> dict[str, Any]:
    """The offer as it is stored."""
    facts = asdict(offer)
    if len(msgspec.json.encode(facts["raw"])) > LARGEST_RAW:
        facts["raw"] = {}
    return facts


def offer_of(facts: dict[str, Any]) -> Offer:
    """What `facts_of` was given; fields that this version does not know are left out."""
    price = facts.get("price")
    known = {name: value for name, value in facts.items() if name in Offer.__dataclass_fields__}
    return Offer(**{**known, "price": Price(**_known_price(price)) if price else None})


def tuned_offers(provider: Provider, tuned: Iterable[TunedModel], listed: Iterable[Offer]) -> list[Offer]:
    """The account's fine-tuned models as offers that can be asked, at the price that asking a model tuned on their base
    has. One that must be deployed first cannot be asked by its name."""
    bases = {offer.model: offer for offer in (*provider.offers, *listed)}
    found = []
    for each in tuned:
        base = bases.get(each.base)
        price = base.price if base else None
        if price is not None:
            given, made = price.asked(tuned=True)
            price = replace(price, train=None, input=given, output=made, tuned_input=None, tuned_output=None)
        found.append(
            Offer(
                each.model,
                can_chat=provider.chat is not None and provider.deploy is None,
                context_tokens=base.context_tokens if base else None,
                price=price,
                ends_on=each.ends_on,
                base=each.base or "a model that the service does not name",
                created_at=each.created_at,
                raw=each.raw,
            )
        )
    return found


def _known_price(price: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in price.items() if name in Price.__dataclass_fields__}


def store_list(session: Session, credential: Credential, offers: list[Offer]) -> int:
    """Brings the stored list up to date and gives its length; what single looks said is kept."""
    moment = now()
    rows = {row.model: row for row in _rows(session, credential.id)}
    listed = {offer.model: offer for offer in offers[:MOST_OFFERS] if 0 < len(offer.model) <= 300}
    for model, offer in listed.items():
        row = rows.pop(model, None) or StoredOffer(
            credential_id=credential.id or 0, provider=credential.provider, model=model, looked_at=moment
        )
        facts = facts_of(offer)
        if row.answered_at is not None:
            facts |= {"limits": row.facts.get("limits") or facts["limits"]}
            facts["price"] = facts["price"] or row.facts.get("price")
        row.facts, row.looked_at, row.listed = facts, moment, True
        session.add(row)
    for row in rows.values():
        if row.listed:
            session.delete(row)
    session.flush()
    return len(listed)


def _rows(session: Session, credential_id: int | None) -> list[StoredOffer]:
    return list(session.exec(select(StoredOffer).where(col(StoredOffer.credential_id) == credential_id)))


def ask_look(session: Session, credential: Credential, offer: Offer) -> None:
    """Has more asked about one model, unless that is under way. The page shows what comes of it."""
    moment = now()
    row = session.exec(
        select(StoredOffer).where(
            StoredOffer.credential_id == credential.id, StoredOffer.model == offer.model
        )
    ).first()
    if row is None:
        row = StoredOffer(
            credential_id=credential.id or 0,
            provider=credential.provider,
            model=offer.model,
            facts=facts_of(offer),
            looked_at=moment,
            listed=False,
        )
    elif row.asked_at is not None and moment - row.asked_at < ASK_AGAIN:
        return
    row.asked_at = moment
    session.add(row)
    session.flush()
    enqueue(session, LOOK_AT_MODEL, row.id or 0)


def needs_look(row: StoredOffer | None) -> bool:
    """Whether the model's own answer is missing or old."""
    return row is None or row.answered_at is None or now() - row.answered_at > BELIEVE
