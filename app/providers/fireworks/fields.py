"""What a training at Fireworks can be told, what is suggested, refused and estimated. Used by this folder."""

from collections.abc import Mapping
from typing import Any

from app import preferences
from app.hyperparameters import Hyperparameter
from app.providers._shapes import Estimate, Offer, TuningJob
from app.service_json import mapping, number, whole

SOURCE = "Fireworks' cost estimator, as quoted 2026-10-08, read 2026-11-24"
# Dollars for a million training tokens by the size of the model in billions: (SFT, DPO).
TRAINING = ((16, (0.5, 1.0)), (80, (3.0, 6.0)), (300, (6.0, 12.0)), (float("inf"), (10.0, 20.0)))
LEAST_ROWS, MOST_ROWS = 3, 3_000_000
SHORTEST_CONTEXT = 32_768
# Our names of the values that are sent -> the service's.
NAMES = {
    "epochs": "epochs",
    "learning_rate": "learningRate",
    "batch_size": "batchSizeSamples",
    "lora_r": "loraRank",
    "max_seq_len": "maxContextLength",
    "warmup_steps": "learningRateWarmupSteps",
    "weight_decay": "optimizerWeightDecay",
}
# The official client names the bounds of beta as above 0 and below 0.5.
LARGEST_BETA = 0.49
# Protocol Buffers leave out what is zero: whether an explicit zero reaches the trainer cannot be seen.
SMALLEST_DECAY = 1e-6


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """Every value that is sent."""
    # fmt: off
    return (
        Hyperparameter("epochs", "Epochs", "int", 2, "How often training goes through all items.",
                       minimum=1, maximum=100, simple=True),
        Hyperparameter("learning_rate", "Learning rate", "float", 1e-4, minimum=1e-8, maximum=1.0, simple=True),
        Hyperparameter("batch_size", "Batch size", "int", 32, "Items for each step.", minimum=1, maximum=1024),
        Hyperparameter("lora_r", "LoRA rank r", "choice", 8, choices=(1, 2, 4, 8, 16, 32), simple=True),
        Hyperparameter("max_seq_len", "Longest sequence", "int", SHORTEST_CONTEXT,
                       "Longer items are cut.", "tokens", minimum=SHORTEST_CONTEXT, maximum=_context(offer)),
        Hyperparameter("warmup_steps", "Warm-up", "int", 1, "Steps over which the learning rate rises.",
                       minimum=1, maximum=100_000),
        Hyperparameter("weight_decay", "Weight decay", "float", 0.01, minimum=SMALLEST_DECAY, maximum=1.0),
        *preferences.fields(LARGEST_BETA),
    )
    # fmt: on


def _context(offer: Offer) -> int | None:
    most = whole(offer.raw, "trainingContextLength") or offer.context_tokens
    return None if most is None else max(most, SHORTEST_CONTEXT)


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each hyperparameter: enough steps for little data."""
    values = {field.name: field.default for field in hyperparameters(offer)}
    items = int(facts.get("train_items") or 0)
    values["epochs"] = 4 if items < 1000 else 2 if items < 10_000 else 1
    values["batch_size"] = 8 if items < 1000 else 32
    steps = values["epochs"] * max(items, 1) // values["batch_size"]
    values["warmup_steps"] = max(1, round(0.05 * steps))
    return values


def problems(job: TuningJob) -> list[str]:
    """What would be refused, as sentences."""
    found, count = [], job.counts.get("train", 0)
    if count < LEAST_ROWS:
        found.append(f"The training part has {count} items; Fireworks wants at least {LEAST_ROWS}.")
    if count * job.hyperparameters["epochs"] > MOST_ROWS:
        found.append(f"Items times epochs may be at most {MOST_ROWS:,} at Fireworks; choose fewer epochs.")
    return found


def size_of(offer: Offer) -> float | None:
    """Billions of parameters; None where they are not known."""
    count = whole(mapping(offer.raw, "baseModelDetails"), "parameterCount")
    return count / 1e9 if count else number({"": offer.size.removesuffix("B")}, "")


def price_of(offer: Offer) -> tuple[float, float] | None:
    """(SFT, DPO) dollars for a million tokens by the model's size; None where that is not known."""
    billions = size_of(offer)
    return next((price for most, price in TRAINING if billions <= most), None) if billions else None


def estimate(job: TuningJob) -> Estimate:
    """Tokens of the training part times epochs, at the listed price."""
    epochs, price = job.hyperparameters["epochs"], price_of(job.offer)
    tokens = job.tokens.get("train", 0) * epochs
    counted = f"about {tokens:,} tokens ({epochs} epochs)"
    if price is None:
        return Estimate(None, f"{counted}; the price of {job.model} is not known")
    dollars = price[job.method == "dpo"]
    # Dollars for a million tokens are micro-dollars for one.
    return Estimate(round(tokens * dollars), f"{counted} at ${dollars:g} for a million ({SOURCE})")
