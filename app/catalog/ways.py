"""By which way a model's questions go, chat or batch, and why. Pure. Used by estimates before a launch and by app/runs."""

from dataclasses import dataclass

from app.providers._base import Provider
from app.providers._shapes import Price

CHAT, BATCH, AUTO = "chat", "batch", "auto"
WAYS = (AUTO, CHAT, BATCH)


@dataclass(frozen=True)
class Way:
    """ "chat" or "batch", and the reason as a sentence."""

    name: str
    reason: str


def has_batch(provider: Provider, tuned: bool) -> bool:
    """Whether the service answers such a model in batches."""
    return provider.batch is not None and (provider.batch.for_tuned if tuned else provider.batch.for_base)


def choose_way(provider: Provider, price: Price | None, tuned: bool, asked: str = "") -> Way:
    """The way that was asked for, where the service has it; else a batch where that is cheaper or saves a
    deployment, else chat."""
    label, batch = provider.label, has_batch(provider, tuned)
    if asked == BATCH and not batch:
        return Way(CHAT, f"A batch was asked for, but {label} has none for this model.")
    if asked in (CHAT, BATCH):
        return Way(asked, "Asked for.")
    if not batch:
        return Way(CHAT, f"{label} has no batches for this model.")
    if provider.chat is None:
        return Way(BATCH, f"{label} answers this model in batches alone.")
    if tuned and provider.deploy is not None:
        return Way(BATCH, "A batch needs no deployment, which would be paid by the hour.")
    if price is not None and price.batch_share < 1:
        share = round(100 * (1 - price.batch_share))
        return Way(BATCH, f"A batch is {share} % cheaper than chat; it may take up to a day.")
    return Way(CHAT, "A batch would not be cheaper.")
