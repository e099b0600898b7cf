"""The tiles of the launch page: what trains here in groups, and for each service what it trains and answers with.
Called by launch_page.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.catalog import facts as choices
from app.catalog.facts import DataFacts
from app.catalog.hosted import ended
from app.catalog.model import Model
from app.catalog.models import GROUPS, all_models, find_model, toolkits
from app.catalog.offered import ENDPOINT, ENDPOINTS, PROMPT, askable, trainable
from app.catalog.shelf import Shelf, Shop
from app.config import settings
from app.errors import TunebookError
from app.format import about, money, plural
from app.providers._shapes import Offer
from app.trainers._base import Toolkit

BUILT_IN = "builtin"
# More than these stand in the list of the field where a name is typed.
MOST_TILES = 9
MOST_NAMES = 1000
# With more services than these in use, each shows its tiles only when it is opened or one of them is ticked.
MOST_OPEN = 3


@dataclass(frozen=True)
class Tile:
    """One model to tick; `text` is its second line, `warning` stands before its facts."""

    model: Model
    title: str
    text: str
    facts: tuple[str, ...]
    ticked: bool
    warning: str = ""


@dataclass(frozen=True)
class TrainerTile:
    """One trainer to tick; it trains every Hugging Face model of the launch."""

    name: str
    title: str
    text: str
    facts: tuple[str, ...]
    ticked: bool
    warning: str = ""


@dataclass(frozen=True)
class ServiceGroup:
    """What one service trains, or answers with. `field`: the name of the field where others of its models are typed,
    "" for none; `names` those that it lists."""

    name: str
    label: str
    note: str
    lacking: str
    notice: str
    tiles: tuple[Tile, ...]
    field: str
    value: str
    names: tuple[str, ...]
    open: bool

    @property
    def listed(self) -> int:
        """How many of its models are known."""
        return max(len(self.names), len(self.tiles))


def local_groups(facts: DataFacts, ticked: Sequence[str]) -> list[tuple[str, str, list[Tile]]]:
    """What runs on this machine, in groups with a note."""
    groups: dict[str, list[Tile]] = {}
    for model in all_models():
        guess = choices.estimate(model, facts, choices.suggest(model, facts))
        shown = ("needs PyTorch",) if model.unavailable else (about(guess["seconds"]), money(0))
        tile = Tile(model, model.label, model.description, shown, model.id in ticked)
        groups.setdefault(model.group, []).append(tile)
    return [(name, GROUPS.get(name, ""), tiles) for name, tiles in groups.items()]


def trainer_tiles(chosen: Sequence[str]) -> list[TrainerTile]:
    """Who can train Hugging Face models: our own trainer first, then the toolkits."""
    own = TrainerTile(
        BUILT_IN,
        "Built-in",
        "Transformers and PEFT, everything explained on the run's page",
        ("no download",),
        BUILT_IN in chosen,
    )
    return [own, *(_trainer_tile(toolkit, chosen) for toolkit in toolkits().values())]


def _trainer_tile(toolkit: Toolkit, chosen: Sequence[str]) -> TrainerTile:
    size = f"{toolkit.environment.gigabytes:g} GB environment, made once"
    own = toolkit.name in settings().toolkit_pythons
    facts = (f"version {toolkit.version}", "installed" if own else size, toolkit.needs)
    return TrainerTile(
        toolkit.name,
        toolkit.label,
        toolkit.description,
        tuple(fact for fact in facts if fact),
        toolkit.name in chosen,
        toolkit.state,
    )


def trained_groups(
    shelf: Shelf, facts: DataFacts, ticked: Sequence[str], typed: dict[str, str]
) -> list[ServiceGroup]:
    """The services that train, those that can be used first."""
    shops = [shop for shop in shelf.shops.values() if shop.provider.training is not None]
    groups = [
        _group(shelf, shop, shop.provider.name, trainable(shop), facts, ticked, typed) for shop in shops
    ]
    return _in_order(groups)


def prompted_groups(
    shelf: Shelf, facts: DataFacts, ticked: Sequence[str], typed: dict[str, str]
) -> list[ServiceGroup]:
    """The services and endpoints that answer, those that can be used first."""
    shops = [shop for shop in shelf.shops.values() if shop.provider.chat is not None]
    groups = [
        _group(shelf, shop, f"{PROMPT}/{shop.provider.name}", askable(shop), facts, ticked, typed)
        for shop in shops
    ]
    tiles = tuple(_tile(shelf, f"{PROMPT}/{ENDPOINT}/{name}", facts, ticked) for name in shelf.endpoints)
    if tiles:
        note = "addresses entered under Settings"
        chosen = any(tile.ticked for tile in tiles)
        groups.append(ServiceGroup(ENDPOINT, ENDPOINTS, note, "", "", tiles, "", "", (), chosen))
    return _in_order(groups)


def _in_order(groups: Sequence[ServiceGroup]) -> list[ServiceGroup]:
    """Those that can be used first; where they are few, they stand open."""
    ready = sum(not group.lacking for group in groups)
    opened = (replace(each, open=each.open or (not each.lacking and ready <= MOST_OPEN)) for each in groups)
    return sorted(opened, key=lambda group: bool(group.lacking))


def _group(
    shelf: Shelf,
    shop: Shop,
    place: str,
    offers: Sequence[Offer],
    facts: DataFacts,
    ticked: Sequence[str],
    typed: dict[str, str],
) -> ServiceGroup:
    provider, value = shop.provider, typed.get(place, "")
    named = [name.strip() for name in value.split(",")]
    first = {offer.model: place_of for place_of, offer in enumerate(provider.offers)}
    alive = [offer for offer in offers if not ended(offer.ends_on)]
    chosen = [offer for offer in alive if f"{place}/{offer.model}" in ticked and offer.model not in named]
    order = sorted(alive, key=lambda offer: (offer not in chosen, first.get(offer.model, len(first))))
    shown = order[: max(MOST_TILES, len(chosen))]
    many = len(alive) > len(shown)
    return ServiceGroup(
        provider.name,
        provider.label,
        _note(shop, alive),
        shop.lacking,
        "" if place.startswith(PROMPT) else provider.notice,
        tuple(_tile(shelf, f"{place}/{offer.model}", facts, ticked) for offer in shown),
        place if (provider.open_names or many) and not shop.lacking else "",
        value,
        tuple(offer.model for offer in alive[:MOST_NAMES]),
        bool(chosen) or bool(value),
    )


def _note(shop: Shop, offers: Sequence[Offer]) -> str:
    known = plural(len(offers), "model") if offers else "models by name"
    return f"{known}, as its list says" if shop.credential and offers else known


def _tile(shelf: Shelf, model_id: str, facts: DataFacts, ticked: Sequence[str]) -> Tile:
    model = find_model(model_id, shelf)
    offer = model.offer
    context = model.context.replace(" context", "") if model.context else ""
    parts = (_guess(model, facts), model.price, f"{context} tokens" if context else "")
    weights = (model.weights,) if model.kind == "hosted" else ()
    title = (offer.label or offer.model) if offer else model.label
    return Tile(
        model,
        title.removesuffix(", prompted"),
        model.disclosed if model.kind == "hosted" else model.description,
        tuple(part for part in (*parts, *weights) if part),
        model_id in ticked,
        f"{'ended' if ended(model.ends_on) else 'ends'} {model.ends_on}" if model.ends_on else "",
    )


def _guess(model: Model, facts: DataFacts) -> str:
    """What one run costs on this data, "" where that is not known."""
    try:
        cost = choices.estimate(model, facts, choices.suggest(model, facts))["microdollars"]
    except (TunebookError, ValueError):
        return ""
    if cost is None:
        return ""
    return f"about {money(cost)} a run" if cost >= 10_000 else "under $0.01 a run"
