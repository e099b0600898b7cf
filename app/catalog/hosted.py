"""Models that a hosted service trains: as tiles, with their settings, their cost and what would be refused.
Called by models.py and facts.py.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.catalog.shelf import Shop
from app.clock import now
from app.hyperparameters import Hyperparameter
from app.preferences import DPO, SFT, is_dpo
from app.providers import providers
from app.providers._base import Provider, Training
from app.providers._shapes import Estimate, Offer, Price, TuningJob

# A deployment answers a test set of a lab within this time, then waits until it is stopped for idleness.
DEPLOYED_MINUTES = 30


def short_name(model: str) -> str:
    """ "Qwen3-8B" of "Qwen/Qwen3-8B", "llama-v3p1-8b" of "accounts/fireworks/models/llama-v3p1-8b", "text-lora:5c7d5dc6"
    of a version that is named by its hash."""
    short = model.rstrip("/").rpartition("/")[2] or model
    name, _, version = short.partition(":")
    return f"{name}:{version[:8]}" if len(version) >= 40 else short


def price_words(price: Price | None, trained: bool) -> str:
    """The price in the few words of a tile."""
    if price is None:
        return "price not known"
    if trained:
        if price.train is None:
            return "price not known"
        least = f", ${price.minimum:g} at least" if price.minimum else ""
        return "free training" if not price.train else f"${price.train:g} / M tokens{least}"
    if price.input is None or price.output is None:
        return "price not known"
    return f"${price.input:g} in, ${price.output:g} out / M"


def context_words(offer: Offer) -> str:
    """ "128 k context", or "" when it is not known."""
    tokens = offer.context_tokens
    return f"{tokens // 1000:,} k context" if tokens and tokens >= 1000 else ""


def ended(ends_on: str) -> bool:
    """Whether an ISO date lies in the past."""
    try:
        return bool(ends_on) and date.fromisoformat(ends_on[:10]) < now().date()
    except ValueError:
        return False


def unavailable(shop: Shop, offer: Offer) -> str:
    """Why nothing can be launched with this model now; "" when it can."""
    if shop.lacking:
        return shop.lacking
    if ended(offer.ends_on):
        return f"ended on {offer.ends_on}"
    if offer.model in shop.notes:
        return f"{shop.provider.label} says: {shop.notes[offer.model]}"
    return ""


def training(provider: Provider) -> Training:
    """How it trains; only called for models that are trained there."""
    assert provider.training is not None
    return provider.training


def hyperparameters(name: str, offer: Offer) -> tuple[Hyperparameter, ...]:
    """Every value that is sent for this model."""
    return tuple(training(providers()[name]).hyperparameters(offer))


def suggest(name: str, offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each on this data."""
    return dict(training(providers()[name]).suggest(offer, facts))


def problems(name: str, offer: Offer, facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What the service would refuse."""
    found = list(training(providers()[name]).problems(_job(offer, facts, values)))
    if not offer.can_train:
        found.append(f"{providers()[name].label} does not train {offer.model}.")
    elif not offer.can_serve_tuned:
        found.append(f"{offer.model} can be trained, but nothing would serve it afterwards.")
    return found


def estimate(name: str, offer: Offer, facts: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """{"tokens" trained on, "seconds": None, "microdollars" in all, "predicting" of these for the test items,
    "basis": how they were computed}."""
    provider = providers()[name]
    job = _job(offer, facts, values)
    trains = training(provider).estimate(job)
    predicts = predicting(provider, offer, facts)
    known = trains.microdollars is not None and predicts.microdollars is not None
    return {
        "tokens": round(job.tokens["train"] * float(values.get("epochs") or 1)),
        "seconds": None,
        "microdollars": (trains.microdollars or 0) + (predicts.microdollars or 0) if known else None,
        "predicting": predicts.microdollars,
        "basis": f"Training: {trains.basis}. Predictions: {predicts.basis}.",
    }


def predicting(provider: Provider, offer: Offer, facts: Mapping[str, Any]) -> Estimate:
    """What the answers of a tuned model to the test items cost: as a batch where the service has one for it, else
    deployed where it must be, else one by one."""
    batches = provider.batch is not None and provider.batch.for_tuned
    if provider.deploy is not None and not batches:
        return _deployed(provider, offer.price)
    return asking(offer, facts, tuned=True, batch=batches)


def asking(
    offer: Offer, facts: Mapping[str, Any], tuned: bool, more_input_tokens: float = 0.0, batch: bool = False
) -> Estimate:
    """What the answers cost where they are paid by the token; `more_input_tokens` for each item (examples in its
    prompt)."""
    items, price = facts["test_items"], offer.price
    asked, answered = price.asked(tuned) if price else (None, None)
    if price is None or asked is None or answered is None:
        return Estimate(None, "their price is not known")
    share = price.batch_share if batch else 1.0
    read = items * (facts["mean_tokens"] + more_input_tokens)
    written = items * facts["answer_tokens"]
    cost = round((read * asked + written * answered) * share)
    basis = (
        f"{items:,} items, about {read:,.0f} tokens in at ${asked:g} and at most {written:,} out at "
        f"${answered:g} for a million{', as a batch' if batch and share < 1 else ''} ({price.source})"
    )
    return Estimate(cost, basis)


def _deployed(provider: Provider, price: Price | None) -> Estimate:
    assert provider.deploy is not None
    if price is None or not price.hourly:
        return Estimate(None, "the price of an hour of serving is not known")
    minutes = DEPLOYED_MINUTES + provider.deploy.idle_minutes
    cost = round(price.hourly * minutes / 60 * 1e6)
    return Estimate(cost, f"served for about {minutes} minutes at ${price.hourly:g} an hour ({price.source})")


def _job(offer: Offer, facts: Mapping[str, Any], values: Mapping[str, Any]) -> TuningJob:
    counts = {part: int(facts[f"{part}_items"]) for part in ("train", "validation", "test")}
    dpo = is_dpo(values)
    if dpo:
        # What has no rejected answer is not sent.
        counts |= {part: int(facts["rejected"].get(part, 0)) for part in ("train", "validation")}
    return TuningJob(
        launch_key="tb-0000000000000000",
        name="plan",
        model=offer.model,
        method=DPO if dpo else SFT,
        hyperparameters=values,
        seed=1,
        counts=counts,
        # A pair is read as two rows.
        tokens={part: round(facts["mean_tokens"] * count * (1 + dpo)) for part, count in counts.items()},
        offer=offer,
    )
