"""Asks services about keys and models. Called by workers/settings.py, outside any transaction but to read and store."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.clock import in_seconds, now
from app.db import session_scope
from app.errors import KeyRefused, OutOfCredit, ProviderError, Refused
from app.providers import providers
from app.providers._base import Provider
from app.providers._shapes import KeyCheck, Offer
from app.service_http import Access, Api
from app.settings.access import access_of, missing, open_api, place_of
from app.settings.offers import facts_of, offer_of, store_list, tuned_offers
from app.tables import Credential, CredentialState, ProviderSetting, StoredOffer

# Until the next look by itself: at a key that works, at one that was refused, at a service that did not answer.
WORKS, REFUSED, SILENT = 12 * 3600.0, 6 * 3600.0, 300.0


@dataclass(frozen=True)
class Found:
    """What a check found; `offers` None: the list could not be read, the stored one stays."""

    state: CredentialState
    note: str
    account: str
    offers: list[Offer] | None
    due_at: datetime


def read_access(session: Session, credential: Credential) -> tuple[Provider | None, Access, bool]:
    """(provider, access, whether its host may be private) of one credential, not of the one that would be chosen."""
    provider = providers().get(credential.provider)
    if provider is None:
        return None, Access(credential.provider, ""), False
    place = place_of(session.get(ProviderSetting, provider.name), provider)
    return provider, access_of(credential, provider, place), place.allow_private


def check_credential(credential: Credential) -> Found:
    """Asks the service whose key it is and which models it offers; failures become sentences."""
    with session_scope(write=False) as session:
        provider, access, allow_private = read_access(session, credential)
    if provider is None:
        return failed("This Tunebook has no such service any more.", REFUSED)
    if lacking := missing(provider, access):
        moved = access.key == "" and credential.sealed_key
        why = (
            "The base URL lies on another host now: enter the key again." if moved else f"It lacks {lacking}."
        )
        return failed(why, REFUSED)
    try:
        with open_api(access, provider, allow_private) as api:
            told = provider.check_key(api)
            try:
                offers, trouble = read_offers(provider, api), ""
            except ProviderError as error:
                offers, trouble = None, f"Its list of models could not be read: {error.message}"
    except (KeyRefused, OutOfCredit, Refused) as error:
        return failed(error.message, REFUSED)
    except ProviderError as error:
        silent = failed(error.message, SILENT)
        # A service that is away says nothing about a key that worked.
        return silent if credential.state != CredentialState.READY else _still_ready(credential, silent)
    return _ready(told, offers, trouble)


def read_offers(provider: Provider, api: Api) -> list[Offer]:
    """The service's models, and those that the account has tuned, whoever did."""
    listed = list(provider.list_models(api))
    if provider.training is None or provider.training.list_tuned is None:
        return listed
    tuned = tuned_offers(provider, provider.training.list_tuned(api), listed)
    names = {offer.model for offer in tuned}
    return [*tuned, *(offer for offer in listed if offer.model not in names)]


def _ready(told: KeyCheck, offers: list[Offer] | None, trouble: str) -> Found:
    note = " ".join(part for part in (told.note, trouble) if part)
    due = in_seconds(SILENT if trouble else WORKS)
    return Found(CredentialState.READY, note[:1000], told.account[:300], offers, due)


def failed(note: str, seconds: float = REFUSED) -> Found:
    """The key cannot be used, for the reason in `note`."""
    return Found(CredentialState.FAILED, note[:1000], "", None, in_seconds(seconds))


def _still_ready(credential: Credential, silent: Found) -> Found:
    return Found(CredentialState.READY, silent.note, credential.account, None, silent.due_at)


def store_offers(session: Session, credential: Credential, found: Found) -> None:
    """Keeps the list that a check has read."""
    if found.offers is not None:
        store_list(session, credential, found.offers)


def look_at_model(offer_id: int) -> None:
    """Asks a service about one model and keeps the answer; an error becomes the row's note. Safe to repeat."""
    with session_scope(write=False) as session:
        row = session.get(StoredOffer, offer_id)
        credential = session.get(Credential, row.credential_id) if row else None
        if row is None or credential is None or credential.state == CredentialState.REMOVED:
            return
        provider, access, allow_private = read_access(session, credential)
    if provider is None or provider.look_at_model is None:
        return
    offer, note = offer_of(row.facts), ""
    try:
        with open_api(access, provider, allow_private) as api:
            offer = provider.look_at_model(api, offer)
    except ProviderError as error:
        note = error.message[:1000]
        if error.retryable:
            return
    with session_scope() as session:
        fresh = session.get(StoredOffer, offer_id)
        if fresh is not None:
            fresh.facts, fresh.note = facts_of(offer), note
            fresh.answered_at = now()
            session.add(fresh)
