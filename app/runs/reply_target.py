"""Whom a run asks for its predictions: the tuned model of its job, a service's own model, or an endpoint of the
Settings page. Used by every step of predicting.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from app.db import session_scope
from app.errors import NotFound, TunebookError
from app.outside import outside_client
from app.providers._base import Chat, Provider
from app.providers._endpoint import endpoint_access, endpoint_provider
from app.providers._shapes import Offer, Price
from app.runs.hosted import Place, find_row, open_job, place_of, provider_of, remote_model
from app.runs.hosted_prepare import find_offer
from app.service_http import Access, Api
from app.settings.access import CALL_SECONDS, access_for, open_api
from app.tables import Endpoint, RemoteJobRow, Run
from app.vault import unseal

ENDPOINT = "prompt/endpoint/"


@dataclass(frozen=True)
class Target:
    """One model at one place. `model` is the name to call it by; "" until a deployment gives it one. `tuned`: it was
    trained by this run."""

    run: Run
    provider: Provider
    offer: Offer
    model: str
    tuned: bool
    credential_id: int | None = None
    row: RemoteJobRow | None = None
    access: Access | None = None
    allow_private: bool = False

    @property
    def chat(self) -> Chat:
        """How it is asked; raises where the service answers no chat."""
        if self.provider.chat is None:
            raise TunebookError(
                f"{self.provider.label} answers no questions, so that nothing can be predicted.",
                "Fetch the weights from the run's page and predict with them elsewhere.",
            )
        return self.provider.chat

    @property
    def price(self) -> Price | None:
        """What asking costs, if that is known."""
        return self.offer.price

    @property
    def needs_deployment(self) -> bool:
        """Whether the tuned model answers only while it is deployed."""
        return self.tuned and self.provider.deploy is not None

    def named(self, model: str) -> "Target":
        """The same, called by another name."""
        return replace(self, model=model)

    @contextmanager
    def open(self) -> Iterator[Api]:
        """The service, for as long as the block lasts; may be shared by threads. Raises KeyRefused without a key."""
        if self.row is not None:
            with open_job(self.run, self.row) as api:
                yield api
        elif self.provider.name == "endpoint" and self.access is not None:
            with outside_client(CALL_SECONDS) as client:
                yield self.provider.connect(self.access, client)
        else:
            assert self.access is not None
            with open_api(self.access, self.provider, self.allow_private) as api:
                yield api


def find_target(run: Run) -> Target:
    """The run's target as things stand now. Raises NotFound for an endpoint that was removed."""
    with session_scope(write=False) as session:
        if run.model.startswith(ENDPOINT):
            return _endpoint(session, run)
        provider = provider_of(run.model)
        row = find_row(session, run.id) if place_of(run) == Place.HOSTED else None
        if row is not None:
            offer = find_offer(session, run, row.credential_id)
            return Target(run, provider, offer, row.tuned_model, True, row.credential_id, row)
        access, credential_id, private = access_for(session, provider, run.project_id, run.maker_id)
        offer = find_offer(session, run, credential_id)
        model = remote_model(run.model)
        return Target(run, provider, offer, model, False, credential_id, None, access, private)


def _endpoint(session: Session, run: Run) -> Target:
    name = run.model.removeprefix(ENDPOINT)
    row = session.exec(
        select(Endpoint).where(
            Endpoint.project_id == run.project_id, Endpoint.name == name, col(Endpoint.removed_at).is_(None)
        )
    ).first()
    if row is None:
        raise NotFound(
            f"There is no endpoint {name!r} any more.", "Enter it again on the Settings page, then retry."
        )
    price = None
    if row.input_microdollars is not None and row.output_microdollars is not None:
        price = Price(
            "entered with the endpoint",
            input=row.input_microdollars / 1e6,
            output=row.output_microdollars / 1e6,
        )
    provider = endpoint_provider(name, row.base_url, row.model, price)
    access = endpoint_access(name, row.base_url, unseal(row.sealed_key))
    return Target(run, provider, provider.offers[0], row.model, False, access=access)
