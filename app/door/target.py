"""What answers to a name at the door: plain data, made by targets.py, asked by answer.py."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.outside import outside_client
from app.providers._base import Provider
from app.providers._shapes import Offer
from app.service_http import Access, Api
from app.settings.access import CALL_SECONDS, open_api

LOCAL, BASELINE, HOSTED, ENDPOINT = "local", "baseline", "hosted", "endpoint"


@dataclass(frozen=True)
class Service:
    """One model of a hosted service or an endpoint. `model` is the name that the service knows it by; `tuned`: it was
    trained by a run, and may have another price."""

    provider: Provider
    access: Access
    offer: Offer
    model: str
    tuned: bool = False
    allow_private: bool = False

    @contextmanager
    def open(self) -> Iterator[Api]:
        """The service with the lab's key, for as long as the block lasts. Raises KeyRefused without one."""
        if self.provider.name == ENDPOINT:
            with outside_client(CALL_SECONDS) as client:
                yield self.provider.connect(self.access, client)
        else:
            with open_api(self.access, self.provider, self.allow_private) as api:
                yield api

    def cost(self, input_tokens: int, output_tokens: int) -> int | None:
        """Micro-dollars of so many tokens; None where the price is not known."""
        price = self.offer.price
        asked, answered = price.asked(self.tuned) if price else (None, None)
        if asked is None or answered is None:
            return None
        return round(input_tokens * asked + output_tokens * answered)


@dataclass(frozen=True)
class Target:
    """`kind`: local, baseline, hosted or endpoint. `model` is the canonical name, `asked` the one that was sent.
    `weights` is what the inference process needs to find a local model; `service` is where another one answers.
    """

    kind: str
    model: str
    asked: str
    project_id: int
    run_id: int | None = None
    owned_by: str = "tunebook"
    created: int = 0
    weights: Mapping[str, Any] | None = None
    service: Service | None = None

    @property
    def is_free(self) -> bool:
        """Whether it answers here, at no price."""
        return self.weights is not None

    @property
    def provider(self) -> str:
        """Who is paid; "" for what answers here."""
        return self.service.provider.name if self.service else ""
