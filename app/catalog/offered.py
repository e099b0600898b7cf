"""Models of services and endpoints on the grid: `<provider>/<model>` is trained there, `prompt/<provider>/<model>` and
`prompt/endpoint/<name>` are asked without training. Called by models.py.
"""

from typing import Any

from app.catalog import hosted
from app.catalog.model import Model
from app.catalog.shelf import Shelf, Shop
from app.providers._shapes import Offer, Price
from app.tables import Endpoint, EndpointState

PROMPT, ENDPOINT = "prompt", "endpoint"
ENDPOINTS = "Endpoints, prompted"


def trained_group(label: str) -> str:
    """The name of the group of a provider's models that it trains."""
    return f"{label}, trained there"


def prompted_group(label: str) -> str:
    """The name of the group of a provider's models that are only asked."""
    return f"{label}, prompted"


def offered_models(shelf: Shelf) -> list[Model]:
    """All of them by group: what each service trains, then what each answers, then the endpoints."""
    shops = shelf.shops.values()
    trained = [_trained(shop, offer) for shop in shops for offer in trainable(shop)]
    asked = [_asked(shop, offer) for shop in shops for offer in askable(shop)]
    return [*trained, *asked, *(_endpoint(row) for row in shelf.endpoints.values())]


def trainable(shop: Shop) -> list[Offer]:
    """What the service trains."""
    return [offer for offer in shop.offers.values() if offer.can_train] if shop.provider.training else []


def askable(shop: Shop) -> list[Offer]:
    """What the service answers with."""
    return [offer for offer in shop.offers.values() if offer.can_chat] if shop.provider.chat else []


def find_offered(model_id: str, shelf: Shelf) -> Model | None:
    """The model of that id, or None when no service could have it."""
    first, _, rest = model_id.partition("/")
    if first != PROMPT:
        shop = shelf.shops.get(first)
        offer = shop.offer(rest) if shop and shop.provider.training else None
        return _trained(shop, offer) if shop and offer else None
    place, _, name = rest.partition("/")
    if place == ENDPOINT:
        row = shelf.endpoints.get(name)
        return _endpoint(row) if row else None
    shop = shelf.shops.get(place)
    offer = shop.offer(name) if shop and shop.provider.chat else None
    return _asked(shop, offer) if shop and offer else None


def _trained(shop: Shop, offer: Offer) -> Model:
    provider = shop.provider
    hidden = provider.undisclosed
    return Model(
        f"{provider.name}/{offer.model}",
        trained_group(provider.label),
        offered_label(provider.label, offer.model, offer.label),
        f"trained and served by {provider.label}",
        "hosted",
        size=offer.size,
        context=hosted.context_words(offer),
        price=hosted.price_words(offer.price, True),
        needs=f"a key for {provider.label}" if provider.key_required else "",
        disclosed=f"not disclosed: {', '.join(hidden)}" if hidden else "every hyperparameter shown",
        weights="weights returned" if provider.returns_weights else "no weights returned",
        ends_on=offer.ends_on or provider.ends_on,
        unavailable=hosted.unavailable(shop, offer),
        to_look_at=shop.must_look(offer.model),
        notice=provider.notice,
        undisclosed=hidden,
        **_service(provider.name, provider.label, offer),
    )


def _asked(shop: Shop, offer: Offer) -> Model:
    provider = shop.provider
    return Model(
        f"{PROMPT}/{provider.name}/{offer.model}",
        prompted_group(provider.label),
        f"{offered_label(provider.label, offer.model, offer.label)}, prompted",
        f"asked at {provider.label} without training, zero-shot or with examples",
        "prompt",
        size=offer.size,
        context=hosted.context_words(offer),
        price=hosted.price_words(offer.price, False),
        needs=f"a key for {provider.label}" if provider.key_required else "",
        disclosed="nothing is trained",
        weights="no weights",
        ends_on=offer.ends_on,
        unavailable=hosted.unavailable(shop, offer),
        **_service(provider.name, provider.label, offer),
    )


def _service(name: str, label: str, offer: Offer) -> dict[str, Any]:
    source = offer.price.source if offer.price else ""
    return {"provider": name, "provider_label": label, "offer": offer, "price_source": source}


def _endpoint(row: Endpoint) -> Model:
    offer = endpoint_offer(row)
    return Model(
        f"{PROMPT}/{ENDPOINT}/{row.name}",
        ENDPOINTS,
        f"{row.name}, prompted",
        f"{row.model}, asked without training, zero-shot or with examples",
        "prompt",
        price=hosted.price_words(offer.price, False),
        disclosed="nothing is trained",
        weights="no weights",
        unavailable="" if row.state != EndpointState.FAILED else f"its last check failed: {row.note}",
        **_service(ENDPOINT, row.name, offer),
    )


def endpoint_offer(row: Endpoint) -> Offer:
    """An endpoint of the Settings page as an offer; its prices are those that a person entered."""
    price = None
    if row.input_microdollars is not None and row.output_microdollars is not None:
        entered = f"entered on the Settings page, {row.created_at:%Y-%m-%d}"
        price = Price(entered, input=row.input_microdollars / 1e6, output=row.output_microdollars / 1e6)
    return Offer(row.model, label=row.name, price=price)


def offered_label(provider_label: str, model: str, label: str = "") -> str:
    """ "Together Qwen3-8B": the same model may stand at several services."""
    return f"{provider_label} {label or hosted.short_name(model)}"
