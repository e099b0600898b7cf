"""The list of models for the launch grid, and how a model's name is found. Called by launch, pages and the API."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from app import baselines
from app.catalog import offered
from app.catalog.model import Model
from app.catalog.shelf import Shelf, published_shelf
from app.config import settings
from app.errors import Invalid, NotFound
from app.lab.machine import pytorch_version
from app.providers import providers
from app.registry import load_kinds
from app.trainers._base import Toolkit

LONGEST_ID = 300
# The groups of the grid in their order, with what is true of all models in one.
GROUPS = {
    "Baselines": "free, seconds to minutes, no GPU",
    "Local": "trained on this machine",
}
STARTERS = {
    "starter/tiny": ("Starter, 0.85 M", "0.85 M parameters"),
    "starter/small": ("Starter, 1.9 M", "1.9 M parameters"),
}


def trainer() -> Any:
    """The built-in trainer."""
    return load_kinds("app.trainers", "TRAINER")["builtin"]


def toolkits() -> dict[str, Toolkit]:
    """The trainers that are programs of others, by name; their models are `<name>/<Hugging Face name or folder>`."""
    kinds = load_kinds("app.trainers", "TRAINER")
    return cast(dict[str, Toolkit], {name: kind for name, kind in kinds.items() if name != "builtin"})


def all_models(shelf: Shelf | None = None) -> list[Model]:
    """Every model that stands on the grid without being typed, in the grid's order; services' with `shelf` alone."""
    return [*_baselines(), *_starters(), *_folders(), *(offered.offered_models(shelf) if shelf else ())]


def find_model(model_id: str, shelf: Shelf | None = None) -> Model:
    """The model named `model_id`; raises Invalid that says which names there are. Without `shelf` a service's model
    is as the service's file knows it, and cannot be launched."""
    for model in all_models():
        if model.id == model_id:
            return model
    if model_id.startswith("hf/") and len(model_id) > 3:
        return _hugging_face(model_id[3:])
    trainer_name, _, base = model_id.partition("/")
    if base and trainer_name in toolkits():
        return _by_toolkit(toolkits()[trainer_name], base)
    found = (
        offered.find_offered(model_id, shelf or published_shelf()) if len(model_id) <= LONGEST_ID else None
    )
    if found is not None:
        return found
    raise Invalid(
        f"There is no model {model_id[:100]!r}.",
        "See /models for the names; a Hugging Face model is written hf/<name or folder>, trained by a toolkit "
        "<toolkit>/<name or folder>, a service's "
        "<provider>/<model>, one that is only asked prompt/<provider>/<model>.",
        {"model": f"unknown model {model_id[:100]!r}"},
    )


def open_model(model_id: str, shelf: Shelf | None = None) -> Model:
    """As find_model, for a model's own address: raises NotFound for a name that is no model's."""
    try:
        return find_model(model_id, shelf)
    except Invalid as error:
        raise NotFound(error.message, error.hint) from error


def _baselines() -> list[Model]:
    models = []
    for name in baselines.names():
        kind = baselines.load(name)
        models.append(
            Model(
                f"baseline/{name}",
                "Baselines",
                kind.label,
                kind.description,
                "baseline",
                size="no weights",
                context="any length",
                seed_matters=kind.seed_matters,
                weights="refitted in seconds from the bundle",
            )
        )
    return models


def _starters() -> list[Model]:
    missing = _training_missing()
    return [
        Model(
            model_id,
            "Local",
            label,
            "trained from scratch on your train split: a demonstration, not a language model",
            "starter",
            size=size,
            context="512 tokens",
            needs="no GPU",
            unavailable=missing,
        )
        for model_id, (label, size) in STARTERS.items()
    ]


def _folders() -> list[Model]:
    models = []
    for root in settings().model_dirs:
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if (folder / "config.json").is_file():
                    models.append(_from_folder(folder, f"hf/{folder.name}"))
    return models


def _from_folder(folder: Path, model_id: str) -> Model:
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    unavailable = _training_missing()
    if not weights:
        unavailable = (
            "the folder holds no .safetensors file; other weight formats can run code and are refused"
        )
    return Model(
        model_id,
        "Local",
        folder.name,
        "Hugging Face folder; LoRA or full, on this machine",
        "hf",
        size=f"{weights / 1e6:,.1f} MB" if weights else "no weights",
        needs="a GPU for billions of parameters",
        path=str(folder.resolve()),
        unavailable=unavailable,
    )


def _hugging_face(name: str) -> Model:
    if name.startswith(("/", "~", ".")) or "\\" in name or "\0" in name:
        return _from_folder(_allowed_folder(name), f"hf/{name}")
    if not all(part and part.strip(".") for part in name.split("/")) or name.count("/") > 1:
        raise Invalid(
            f"{name!r} is not the name of a Hugging Face model.",
            "Write it as owner/name, or give a folder below TUNEBOOK_MODEL_DIRS.",
            {"model": "not a model's name"},
        )
    return Model(
        f"hf/{name}",
        "Local",
        name,
        "from the Hugging Face Hub or its cache; LoRA or full, on this machine",
        "hf",
        size="see its card",
        needs="the network, once, to fetch it",
        path=name,
        unavailable=_training_missing(),
    )


def _by_toolkit(toolkit: Toolkit, name: str) -> Model:
    """A Hugging Face model that a toolkit trains, in an environment that its run makes for itself."""
    base = next((model for model in _folders() if model.id == f"hf/{name}"), None) or _hugging_face(name)
    # What trains needs no PyTorch of Tunebook's own.
    lacking = "" if base.unavailable == _training_missing() else base.unavailable
    return replace(
        base,
        id=f"{toolkit.name}/{name}",
        label=f"{base.label}, {toolkit.label}",
        description=toolkit.description,
        kind="toolkit",
        trainer=toolkit.name,
        needs=toolkit.needs,
        notice=toolkit.state,
        unavailable=lacking,
    )


def _allowed_folder(name: str) -> Path:
    folder = Path(name).expanduser().resolve()
    roots = [root.expanduser().resolve() for root in settings().model_dirs]
    if not any(folder.is_relative_to(root) and folder != root for root in roots):
        raise Invalid(
            f"The folder {name!r} is not below TUNEBOOK_MODEL_DIRS.",
            "Start Tunebook with TUNEBOOK_MODEL_DIRS set to the folder that holds your models.",
            {"model": "folder not allowed"},
        )
    if not (folder / "config.json").is_file():
        raise Invalid(
            f"The folder {name!r} holds no config.json.",
            "Give the folder of one Hugging Face model: config.json, tokenizer.json, *.safetensors.",
            {"model": "not a model folder"},
        )
    return folder


def _training_missing() -> str:
    """Why nothing can be trained here, or ""."""
    return "" if pytorch_version() else "needs PyTorch: run `make up` without TRAIN=0"


def model_label(model_id: str) -> str:
    """The name a model goes by in tables, also when it cannot be launched any more."""
    group, _, name = model_id.partition("/")
    if group == "baseline" and name in baselines.names():
        return str(baselines.load(name).label)
    if model_id in STARTERS:
        return STARTERS[model_id][0]
    if group == offered.PROMPT:
        place, _, asked = name.partition("/")
        return f"{asked if place == offered.ENDPOINT else _service_label(place, asked)}, prompted"
    if group in toolkits():
        return f"{name.rstrip('/').rpartition('/')[2]}, {toolkits()[group].label}"
    if group not in ("hf", "imported", "baseline", "starter"):
        return _service_label(group, name)
    return name.rstrip("/").rpartition("/")[2] if group == "hf" else name


def _service_label(place: str, name: str) -> str:
    provider = providers().get(place)
    known = next((each.label for each in provider.offers if each.model == name), "") if provider else ""
    return offered.offered_label(provider.label if provider else place, name, known)


def hub_name(model_id: str) -> str:
    """The name of its base model on the Hugging Face Hub, or its folder; "" for a model that is no such one's."""
    group, _, name = model_id.partition("/")
    return name if group == "hf" or group in toolkits() else ""


def model_group(model_id: str) -> str:
    """The group a model stands in, also when it cannot be launched any more; predictions made elsewhere are
    "Imported"."""
    known = {"baseline": "Baselines", "imported": "Imported", "hf": "Local", "starter": "Local"}
    known |= dict.fromkeys(toolkits(), "Local")
    known[offered.PROMPT] = "Prompted"
    return known.get(model_id.partition("/")[0], "Hosted")
