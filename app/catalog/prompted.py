"""Models that are asked without training, zero-shot or with examples in the prompt: their settings and their cost.
Called by facts.py; app/runs reads the same values from a run's ledger.
"""

from collections.abc import Mapping
from typing import Any

from app.catalog import hosted
from app.catalog.ways import AUTO, BATCH, CHAT, WAYS, choose_way, has_batch
from app.hyperparameters import Hyperparameter
from app.providers._base import Provider
from app.providers._endpoint import TOP_LOGPROBS
from app.providers._shapes import Offer

MOST_EXAMPLES = 64
LONGEST_ANSWER = 8192
LONGEST_SYSTEM_PROMPT = 20_000
SELECTIONS = ("random", "nearest")


def hyperparameters(provider: Provider | None) -> tuple[Hyperparameter, ...]:
    """Every value of a prompted run; `provider` None: an endpoint of the Settings page."""
    found = [*_prompt(), *_decoding()]
    most = TOP_LOGPROBS if provider is None else provider.chat.top_logprobs if provider.chat else 0
    if most:
        found.append(
            Hyperparameter(
                "top_logprobs",
                "Likeliest tokens",
                "int",
                most,
                "Asked for with each token of the answer: class probabilities are made of them; 0: none.",
                minimum=0,
                maximum=most,
            )
        )
    if provider is not None and has_batch(provider, tuned=False):
        found.append(
            Hyperparameter(
                "way",
                "Asked by",
                "choice",
                AUTO,
                "auto: by batch where that is cheaper; chat: at once; batch: within a day.",
                choices=WAYS,
            )
        )
    return tuple(found)


def _prompt() -> tuple[Hyperparameter, ...]:
    """What is asked."""
    return (
        Hyperparameter(
            "examples",
            "Examples in the prompt",
            "int",
            0,
            "Train items shown before each question; 0: none (zero-shot).",
            minimum=0,
            maximum=MOST_EXAMPLES,
            simple=True,
        ),
        Hyperparameter(
            "selection",
            "Examples chosen",
            "choice",
            "random",
            "random: the same for all items, drawn by the run's seed; nearest: for each item those whose text is "
            "nearest to its own.",
            choices=SELECTIONS,
            simple=True,
        ),
        Hyperparameter(
            "system_prompt",
            "System prompt",
            "text",
            "",
            "Takes the place of the items' own; empty: theirs. Several apart by semicolons make a run each.",
            maximum=LONGEST_SYSTEM_PROMPT,
        ),
        Hyperparameter(
            "constrain",
            "Only the labels",
            "bool",
            False,
            "Where the task has labels: the answer must be one of them, by a JSON schema.",
        ),
    )


def _decoding() -> tuple[Hyperparameter, ...]:
    """How the answers are drawn."""
    return (
        Hyperparameter(
            "temperature",
            "Temperature",
            "float",
            0.0,
            "0: the likeliest answer.",
            minimum=0.0,
            maximum=2.0,
        ),
        Hyperparameter(
            "max_tokens",
            "Longest answer",
            "int",
            256,
            "More than this is cut off.",
            unit="tokens",
            minimum=1,
            maximum=LONGEST_ANSWER,
        ),
    )


def suggest(provider: Provider | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Zero-shot, with room for the longest answer of the data."""
    values = {field.name: field.default for field in hyperparameters(provider)}
    if "top_logprobs" in values and not facts.get("labels"):
        values["top_logprobs"] = 0
    return {**values, "max_tokens": min(int(facts["answer_tokens"]), LONGEST_ANSWER)}


def problems(offer: Offer, facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What cannot work: more examples than train items, or than the model reads."""
    found = []
    shown, train = int(values["examples"]), int(facts["train_items"])
    if shown > train:
        found.append(f"{shown} examples are asked for, but the split has {train} train items.")
    needed = (shown + 1) * facts["mean_tokens"] + int(values["max_tokens"])
    if offer.context_tokens and needed > offer.context_tokens:
        found.append(
            f"{shown} examples need about {needed:,.0f} tokens; {offer.label or offer.model} reads "
            f"{offer.context_tokens:,}."
        )
    return found


def estimate(
    provider: Provider | None, offer: Offer, facts: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """As hosted.estimate, for what is only asked. An endpoint's prices stand in its offer."""
    more = int(values["examples"]) * facts["mean_tokens"]
    facts = {**facts, "answer_tokens": min(int(values["max_tokens"]), int(facts["answer_tokens"]))}
    way = choose_way(provider, offer.price, False, str(values.get("way") or AUTO)).name if provider else CHAT
    predicts = hosted.asking(offer, facts, False, more, way == BATCH)
    return {
        "tokens": round(facts["test_items"] * (facts["mean_tokens"] + more)),
        "seconds": None,
        "microdollars": predicts.microdollars,
        "predicting": predicts.microdollars,
        "basis": f"Predictions: {predicts.basis}.",
    }
