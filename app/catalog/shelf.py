"""What hosted services offer to the acting member: read once for a page or a launch. Called by models.py and launches.

Without a session there is the shelf of what the providers' files say, for which nothing can be launched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sqlmodel import Session, col, or_, select

from app.lab.actor import Actor, owned
from app.providers import providers
from app.providers._base import Provider
from app.providers._shapes import Offer
from app.settings.access import Place, choose, environment_fields, environment_key, is_enabled, place_of
from app.settings.access import environment_host as host_of_environment
from app.settings.offers import needs_look, offer_of
from app.tables import Credential, CredentialState, Endpoint, ProviderSetting, StoredOffer

NO_KEY = "needs a key"


@dataclass(frozen=True)
class Shop:
    """One provider as the member may use it. `lacking`: why nothing can be launched there now ("needs a key"), empty
    when it can. `offers` by the model's name; `looked`: models whose own answer is there; `notes`: why a model was
    refused when it was asked about."""

    provider: Provider
    offers: Mapping[str, Offer]
    lacking: str = NO_KEY
    credential: Credential | None = None
    looked: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)

    def offer(self, model: str) -> Offer | None:
        """The offer of that name; one by its bare name where the service takes any."""
        found = self.offers.get(model)
        if found is None and self.provider.open_names and model:
            return Offer(model, can_train=self.provider.training is not None)
        return found

    def must_look(self, model: str) -> bool:
        """Whether the service is to be asked about this model before it is launched."""
        asks = self.provider.look_at_model is not None and not self.lacking and self.credential is not None
        return asks and model not in self.looked


@dataclass(frozen=True)
class Shelf:
    """All providers by name, and the endpoints of the Settings page by name."""

    shops: Mapping[str, Shop]
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


@lru_cache
def published_shelf() -> Shelf:
    """What the providers' files say; no key is looked at."""
    return Shelf({name: Shop(provider, _known(provider)) for name, provider in providers().items()})


def _known(provider: Provider) -> dict[str, Offer]:
    return {offer.model: offer for offer in provider.offers}


def read_shelf(session: Session, actor: Actor) -> Shelf:
    """What the actor can launch, in four statements."""
    settings = {row.provider: row for row in session.exec(select(ProviderSetting))}
    mine = or_(col(Credential.member_id) == actor.member_id, col(Credential.member_id).is_(None))
    keys: dict[str, list[Credential]] = {}
    for row in session.exec(
        owned(actor, Credential).where(Credential.state != CredentialState.REMOVED, mine)
    ):
        keys.setdefault(row.provider, []).append(row)
    places = {name: place_of(settings.get(name), provider) for name, provider in providers().items()}
    chosen = {name: choose(keys.get(name, []), each, places[name]) for name, each in providers().items()}
    ids = [row.id for row in chosen.values() if row is not None]
    stored: dict[str, list[StoredOffer]] = {}
    if ids:
        for offer in session.exec(select(StoredOffer).where(col(StoredOffer.credential_id).in_(ids))):
            stored.setdefault(offer.provider, []).append(offer)
    shops = {
        name: _shop(provider, settings.get(name), places[name], chosen[name], stored.get(name, []))
        for name, provider in providers().items()
    }
    endpoints = session.exec(owned(actor, Endpoint).where(col(Endpoint.removed_at).is_(None)))
    return Shelf(shops, {row.name: row for row in endpoints})


def _shop(
    provider: Provider,
    setting: ProviderSetting | None,
    place: Place,
    credential: Credential | None,
    stored: list[StoredOffer],
) -> Shop:
    offers = {row.model: offer_of(row.facts) for row in stored if row.listed}
    # A list that was read is believed; what the file knows of prices and ends completes it.
    offers = {name: _completed(offer, provider) for name, offer in offers.items()} or _known(provider)
    offers |= {row.model: offer_of(row.facts) for row in stored if not row.listed}
    return Shop(
        provider,
        offers,
        _lacking(provider, setting, place, credential),
        credential,
        frozenset(row.model for row in stored if not needs_look(row)),
        {row.model: row.note for row in stored if row.note},
    )


def _completed(offer: Offer, provider: Provider) -> Offer:
    known = _known(provider).get(offer.model)
    if known is None or (offer.price and offer.ends_on):
        return offer
    return replace(offer, price=offer.price or known.price, ends_on=offer.ends_on or known.ends_on)


def _lacking(
    provider: Provider, setting: ProviderSetting | None, place: Place, credential: Credential | None
) -> str:
    if not is_enabled(setting, provider):
        return "is off: nobody has verified it yet" if provider.unverified else "is off"
    if not place.base_url:
        return "needs a base URL"
    fields = environment_fields(provider) | (dict(credential.fields) if credential else {})
    stored = credential is not None and (credential.sealed_key or credential.from_environment)
    given = stored or (environment_key(provider) and place.host == host_of_environment(provider))
    if provider.key_required and not given:
        return NO_KEY
    lacking = [each.label for each in provider.fields if each.required and not fields.get(each.name)]
    if lacking:
        return f"needs {', '.join(lacking)}"
    refused = credential is not None and credential.state == CredentialState.FAILED
    return f"its key does not work: {credential.note}" if refused and credential else ""
