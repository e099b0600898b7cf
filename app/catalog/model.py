"""What one must know before choosing a model. Made by models.py and offered.py, shown by pages and the API."""

from dataclasses import dataclass

from app.providers._shapes import Offer


@dataclass(frozen=True)
class Model:
    """One model of the grid. `kind`: baseline, starter, hf, toolkit (a Hugging Face model that a toolkit of others trains),
    hosted (trained by a service) or prompt (asked only)."""

    id: str
    group: str
    label: str
    description: str
    kind: str
    size: str = ""
    context: str = ""
    price: str = "$0.00"
    needs: str = ""
    disclosed: str = "every hyperparameter shown"
    weights: str = "weights stay here"
    ends_on: str = ""
    seed_matters: bool = True
    path: str = ""
    # Why it cannot be launched here; empty when it can.
    unavailable: str = ""
    # Who trains it: "builtin", or a toolkit's name.
    trainer: str = "builtin"
    # Of a service's model: the provider's name and label ("endpoint" for one of the Settings page), what the service
    # offers, where its price was read, what must be known first, and what will never be known.
    provider: str = ""
    provider_label: str = ""
    offer: Offer | None = None
    price_source: str = ""
    notice: str = ""
    undisclosed: tuple[str, ...] = ()
    # The service is still to say more about this model (its limits).
    to_look_at: bool = False

    @property
    def remote(self) -> bool:
        """Whether a service answers for it, and is paid."""
        return self.offer is not None
