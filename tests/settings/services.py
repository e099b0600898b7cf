"""A small hosted service for tests of settings: its key is asked for, its models are listed."""

from typing import Any

from app.hyperparameters import Hyperparameter
from app.providers._base import Field, Provider, Training
from app.providers._shapes import Estimate, KeyCheck, Offer, Price
from app.service_http import Access, Api

PRICE = Price("price page, 2026-11-20", train=2.0, input=0.5, output=1.5)


def _never(*_: Any) -> Any:
    raise AssertionError("no test of settings trains")


def make_provider(name: str = "acme", **changes: Any) -> Provider:
    """A service that trains and answers, at a published address that does not exist."""
    training = Training(
        identity="metadata",
        hyperparameters=lambda offer: (
            Hyperparameter("epochs", "Epochs", "int", 3, minimum=1, maximum=20, simple=True),
        ),
        suggest=lambda offer, facts: {"epochs": 3},
        problems=lambda job: [],
        estimate=lambda job: estimate(job),
        render=_never,
        upload=_never,
        submit=_never,
        find=_never,
        list_jobs=_never,
        poll=_never,
    )
    plain = {
        "name": name,
        "label": name.title(),
        "description": "A service of tests.",
        "base_url": f"https://api.{name}.example/v1",
        "key_help": f"https://{name}.example/keys",
        "docs_url": f"https://{name}.example/docs",
        "fields": (Field("account", "Account", required=False),),
        "connect": lambda access, client: Api(access, client),
        "check_key": check_key,
        "list_models": list_models,
        "offers": (Offer("small", "Small", context_tokens=8192, can_train=True, price=PRICE),),
        "training": training,
        "undisclosed": ("optimiser",),
    }
    return Provider(**{**plain, **changes})


def estimate(job: Any) -> Estimate:
    """Tokens x epochs at the offer's price."""
    price = job.offer.price
    if price is None or price.train is None:
        return Estimate(None, "the price is not known")
    dollars = job.tokens["train"] * job.hyperparameters["epochs"] * price.train / 1e6
    return Estimate(round(dollars * 1e6), f"{price.source}")


def check_key(api: Api) -> KeyCheck:
    """GET /account."""
    found = api.get("account")
    return KeyCheck(str(found["name"]), "may train")


def list_models(api: Api) -> list[Offer]:
    """GET /models."""
    return [
        Offer(each["id"], context_tokens=4096, can_train=True, price=PRICE)
        for each in api.get("models")["data"]
    ]


def access_of(base_url: str, key: str = "sk-test") -> Access:
    """An access as access_for gives it."""
    return Access("Acme", base_url, key)
