"""Which models Together trains and serves, within which bounds, and for how much. Used by this folder."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import errors
from app.providers._shapes import Estimate, Offer, Price, TuningJob
from app.providers.together.hosts import pages
from app.service_http import Api
from app.service_json import mapping, number, rows, text, whole

SOURCE = "Together's announcement of 2026-09-11 and its pages on pricing, read 2026-11-24"
LISTED = "Together's list of models, and its pages on pricing, read 2026-11-24"
# Dollars for a million trained or validated tokens with LoRA: (SFT, DPO).
TRAINING = {
    "Qwen/Qwen3.5-9B": (0.34, 0.84),
    "Qwen/Qwen3.8-27B": (1.05, 2.62),
    "google/gemma-4-31B-it": (1.05, 2.62),
    "openai/gpt-oss-20b": (0.40, 1.00),
    "openai/gpt-oss-120b": (2.50, 6.25),
}
# A training costs at least this; some models are exempt, the pages do not say which.
MINIMUM = 4.0
# One GPU for an hour. The pages name two figures for the H100, 3.99 and 5.49: estimates take the higher one.
GPU_HOUR = {"h100": 5.49, "b200": 8.99}
# Early stopping needs a validation part and so many evaluations: patience, warm-up, and one to start from.
EARLY_STOPPING = {"patience": 2, "min_delta": 0.0, "warmup_evals": 1}
EARLY_STOPPING_EVALS = 4


def _price(model: str, source: str = SOURCE, raw: Mapping[str, Any] | None = None) -> Price:
    sft, _dpo = TRAINING.get(model, (None, None))
    listed = mapping(raw, "pricing")
    return Price(
        source,
        train=sft,
        input=number(listed, "input") or None,
        output=number(listed, "output") or None,
        # A batch costs up to half less for some models; the pages do not say for which.
        minimum=MINIMUM,
        hourly=GPU_HOUR["h100"],
    )


OFFERS = tuple(
    Offer(model, label=model.partition("/")[2], can_train=True, price=_price(model)) for model in TRAINING
)


def list_models(api: Api) -> list[Offer]:
    """Every model that can be trained or asked; `can_serve_tuned` where a tuned one could be deployed."""
    found = mapping(api.get("fine-tunes/models/supported")).get("models")
    trained = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    listed = {text(raw, "id"): raw for raw in rows({"data": api.get("models")}, "data")}
    served = deployable(api)
    names = [*trained, *(name for name, raw in listed.items() if text(raw, "type") == "chat")]
    return [
        _offer(name, name in trained, served is None or name in served, listed.get(name, {}))
        for name in dict.fromkeys(names)
    ]


def _offer(name: str, trained: bool, served: bool, raw: Mapping[str, Any]) -> Offer:
    return Offer(
        name,
        label=text(raw, "display_name") or name.rpartition("/")[2],
        context_tokens=whole(raw, "context_length"),
        can_train=trained,
        can_chat=text(raw, "type") == "chat",
        can_serve_tuned=served,
        price=_price(name, LISTED if raw else SOURCE, raw),
        raw=raw,
    )


def deployable(api: Api, search: str = "") -> set[str] | None:
    """Names of the models that a dedicated endpoint can hold; None where the address knows no version 2."""
    query = {"product": "PRODUCT_DEDICATED", **({"search": search} if search else {})}
    try:
        return {
            text(raw, "name")
            for raw in pages(api, "v2/supported-models", query)
            if rows(raw, "deploymentProfiles")
        }
    except errors.Gone:
        return None


def look_at_model(api: Api, offer: Offer) -> Offer:
    """The offer with the service's own bounds for training."""
    limits = mapping(api.get("fine-tunes/models/limits", params={"model_name": offer.model}))
    return replace(offer, can_train=True, limits=limits)


def check(api: Api, job: TuningJob, files: Mapping[str, str]) -> None:
    """Raises errors.Refused for a model that would be trained, and paid, but that nothing could serve."""
    served = deployable(api, job.model)
    if served is not None and job.model not in served:
        raise errors.Refused(
            f"Together would train {job.model}, but has no way to serve it afterwards.",
            "Choose a model that can be deployed; the page of models says which.",
        )


def problems(job: TuningJob) -> list[str]:
    """What would be refused, as sentences."""
    values, found = job.hyperparameters, []
    if values["evals"] and not job.has_validation:
        found.append("Evaluations need a validation part: set them to 0 or choose a split that has one.")
    if values.get("early_stopping") and values["evals"] < EARLY_STOPPING_EVALS:
        found.append(f"Stopping early needs at least {EARLY_STOPPING_EVALS} evaluations.")
    lora = mapping(job.offer.limits, "lora_training")
    most = whole(lora, "max_batch_size_dpo" if job.method == "dpo" else "max_batch_size")
    if most is not None and values["batch_size"] > most:
        found.append(f"The batch size is {values['batch_size']}; {job.model} takes at most {most}.")
    longest = whole(job.offer.limits, "max_seq_length_dpo")
    if job.method == "dpo" and longest is not None and values["max_seq_len"] > longest:
        found.append(
            f"The longest sequence is {values['max_seq_len']:,}; with DPO {job.model} takes at most {longest:,}."
        )
    return found


def estimate(job: TuningJob) -> Estimate:
    """Trained and validated tokens at the listed price, at least the minimum. Without packing, every item counts as
    the longest sequence (docs.together.ai, fine-tuning/pricing)."""
    values, price = job.hyperparameters, TRAINING.get(job.model)
    tokens = dict(job.tokens)
    if not values["packing"]:
        tokens["train"] = job.counts.get("train", 0) * values["max_seq_len"]
    billed = values["epochs"] * tokens.get("train", 0) + values["evals"] * tokens.get("validation", 0)
    counted = f"about {billed:,} tokens ({values['epochs']} epochs, {values['evals']} evaluations)"
    if price is None:
        return Estimate(None, f"{counted}; the price of {job.model} is not known")
    dollars = price[job.method == "dpo"]
    # Dollars for a million tokens are micro-dollars for one.
    microdollars = max(round(billed * dollars), round(MINIMUM * 1e6))
    return Estimate(
        microdollars, f"{counted} at ${dollars:g} for a million, at least ${MINIMUM:g} ({SOURCE})"
    )
