"""Fireworks' models, and whose key it is. Used by this folder."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import errors
from app.providers._http import Api
from app.providers._json import mapping, text, whole
from app.providers._shapes import KeyCheck, Offer, Price, TuningJob
from app.providers.fireworks.deployments import GPU_HOUR
from app.providers.fireworks.fields import SOURCE, price_of
from app.providers.fireworks.names import LIBRARY, account, address, pages, short


def _priced(offer: Offer) -> Offer:
    found = price_of(offer)
    train = found[0] if found else None
    return replace(offer, price=Price(SOURCE, train=train, batch_share=0.5, hourly=GPU_HOUR["H100"]))


OFFERS = tuple(
    _priced(Offer(f"{LIBRARY}/models/{name}", label, f"{size}B", can_train=True))
    for name, label, size in (
        ("llama-v3p1-8b-instruct", "Llama 3.1 8B Instruct", 8),
        ("qwen3-8b", "Qwen3 8B", 8),
    )
)


def list_models(api: Api) -> list[Offer]:
    """The models of the library that can be tuned, or that answer everybody."""
    found = [offer_of(raw) for raw in pages(api, f"{LIBRARY}/models", "models")]
    return [offer for offer in found if offer.can_train or offer.can_chat]


def offer_of(raw: Mapping[str, Any]) -> Offer:
    """A model object as an Offer."""
    count = whole(mapping(raw, "baseModelDetails"), "parameterCount")
    day = mapping(raw, "deprecationDate")
    year, month, number = (whole(day, name) or 0 for name in ("year", "month", "day"))
    return _priced(
        Offer(
            text(raw, "name"),
            label=text(raw, "displayName") or short(text(raw, "name")),
            size=f"{count / 1e9:.3g}B" if count else "",
            context_tokens=whole(raw, "contextLength"),
            can_train=raw.get("tunable") is True or raw.get("supervisedLoraTunable") is True,
            can_chat=raw.get("supportsServerless") is True,
            ends_on=f"{year:04}-{month:02}-{number:02}" if year and month and number else "",
            raw=raw,
        )
    )


def look_at_model(api: Api, offer: Offer) -> Offer:
    """The model as it stands now: its size, its context, whether it can be tuned."""
    return offer_of(mapping(api.get(address(offer.model))))


def check(api: Api, job: TuningJob, files: Mapping[str, str]) -> None:
    """Raises errors.Refused for a model that cannot be tuned, or that would answer no batch afterwards: such a batch
    is not refused, but waits for ever."""
    raw = mapping(api.get(address(job.model)))
    if not offer_of(raw).can_train:
        raise errors.Refused(f"Fireworks does not tune {short(job.model)}.", "Choose another model.")
    if raw.get("batchInferenceSupported") is False:
        raise errors.Refused(
            f"Fireworks answers no batches with {short(job.model)}: a tuned one could not be tested.",
            "Choose another model.",
        )


def check_key(api: Api) -> KeyCheck:
    """The account, and whether it is suspended."""
    raw = mapping(api.get(address(account(api))))
    state = text(raw, "suspendState")
    note = f"The account is suspended: {state}." if state not in ("", "UNSUSPENDED") else ""
    return KeyCheck(text(raw, "displayName") or short(text(raw, "name")), note)
