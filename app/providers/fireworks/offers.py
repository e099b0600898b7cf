"""Fireworks' models, and whose key it is. Used by this folder."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import errors
from app.providers._shapes import KeyCheck, Offer, Price, TuningJob
from app.providers.fireworks.deployments import GPU_HOUR
from app.providers.fireworks.fields import SOURCE, price_of, size_of
from app.providers.fireworks.names import LIBRARY, account, address, pages, short
from app.service_http import Api
from app.service_json import mapping, text, whole

# Dollars for a million tokens, in and out alike, by the size in billions: dense models, and mixtures of experts.
ASKING = ((4, 0.1), (16, 0.2), (float("inf"), 0.9))
ASKING_EXPERTS = ((56, 0.5), (176, 1.2))
# Those with a price of their own: (in, out).
ASKING_OWN = {"gpt-oss-120b": (0.15, 0.6), "gpt-oss-20b": (0.07, 0.3)}
ASKING_SOURCE = "Fireworks' page on serverless prices, read 2026-11-25"


def _priced(offer: Offer) -> Offer:
    """With the price of a training, of questions (a batch costs half, a tuned model what its base does), of a GPU."""
    trained, asked = price_of(offer), _asking(offer)
    price = Price(
        f"{SOURCE}; questions: {ASKING_SOURCE}",
        train=trained[0] if trained else None,
        input=asked[0] if asked else None,
        output=asked[1] if asked else None,
        batch_share=0.5,
        hourly=GPU_HOUR["H100"],
    )
    return replace(offer, price=price)


def _asking(offer: Offer) -> tuple[float, float] | None:
    own, billions = ASKING_OWN.get(short(offer.model)), size_of(offer)
    if own or billions is None:
        return own
    experts = mapping(offer.raw, "baseModelDetails").get("moe") is True
    price = next((each for most, each in (ASKING_EXPERTS if experts else ASKING) if billions <= most), None)
    return None if price is None else (price, price)


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
