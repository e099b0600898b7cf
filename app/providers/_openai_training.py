"""What OpenAI-shaped training lets a person set, what it suggests, refuses and costs. For openai and azure."""

from collections.abc import Mapping
from typing import Any

from app import preferences
from app.hyperparameters import Hyperparameter
from app.providers._shapes import Estimate, Offer, TuningJob

LEAST_ROWS = 10
MOST_BYTES = 512 * 10**6
MOST_EPOCHS, MOST_BATCH, MOST_BETA = 50, 256, 2.0
# OpenAI's cookbook (chat_finetuning_data_prep) aims at three epochs, and at 100 to 25,000 examples seen in all.
TARGET_EPOCHS, LEAST_SEEN, MOST_SEEN, MOST_SUGGESTED = 3, 100, 25_000, 25
# OpenAI's guide to its first fine-tunes: by default about 0.2 % of the examples, 256 at most.
BATCH_SHARE = 0.002
SEED_MAXIMUM = 2**31 - 1
# What the service never says of a training.
UNDISCLOSED = (
    "base learning rate",
    "learning rate schedule",
    "optimiser",
    "adapter type and rank",
    "sequence handling",
)


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """The values that the job takes, with the bounds of its published description."""
    return (
        *preferences.fields(MOST_BETA),
        Hyperparameter(
            "epochs",
            "Epochs",
            "int",
            TARGET_EPOCHS,
            "How often the training items are seen.",
            minimum=1,
            maximum=MOST_EPOCHS,
            simple=True,
        ),
        Hyperparameter(
            "batch_size", "Batch size", "int", 1, "Items for each step.", minimum=1, maximum=MOST_BATCH
        ),
        Hyperparameter(
            "learning_rate_multiplier",
            "Learning rate multiplier",
            "float",
            1.0,
            "Times a learning rate that the service does not disclose.",
            minimum=0.0001,
            maximum=100.0,
        ),
    )


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's own rules of thumb for this many training items."""
    items = max(int(facts.get("train_items") or 0), 1)
    epochs = TARGET_EPOCHS
    if items * epochs < LEAST_SEEN:
        epochs = min(MOST_SUGGESTED, LEAST_SEEN // items)
    elif items * epochs > MOST_SEEN:
        epochs = max(1, MOST_SEEN // items)
    batch = min(max(round(BATCH_SHARE * items), 1), MOST_BATCH)
    values = {"epochs": epochs, "batch_size": batch, "learning_rate_multiplier": 1.0}
    return {**{field.name: field.default for field in preferences.fields()}, **values}


def problems(job: TuningJob) -> list[str]:
    """What the service would refuse, as sentences."""
    found = []
    rows = job.counts.get("train", 0)
    if rows < LEAST_ROWS:
        found.append(f"The training part has {rows} items; the service wants at least {LEAST_ROWS}.")
    if not 0 <= job.seed <= SEED_MAXIMUM:
        found.append(f"The seed is {job.seed}; the service takes 0 to {SEED_MAXIMUM}.")
    return found


def estimate(job: TuningJob) -> Estimate:
    """Tokens of the training part times epochs, at the listed price. Validation items are not billed."""
    price, epochs = job.offer.price, int(job.hyperparameters["epochs"])
    tokens = job.tokens.get("train", 0) * epochs
    counted = f"about {tokens:,} tokens ({epochs} epochs)"
    if price is None or price.train is None:
        return Estimate(None, f"{counted}; the price of {job.model} is not known")
    # Dollars for a million tokens are micro-dollars for one.
    basis = f"{counted} at ${price.train:g} for a million ({price.source})"
    return Estimate(round(tokens * price.train), basis)
