"""The launch form: which models are ticked, and for each what a person changed.

Every field of the plan always holds a value. A hidden field per model remembers what was shown, so that only
what a person really changed counts as asked.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from app.catalog.facts import presets
from app.catalog.models import find_model, toolkits
from app.datasets.validation import FromTrain
from app.errors import Invalid
from app.experiments.designs import Design, read_design
from app.experiments.grid import shown as shown_text
from app.experiments.planned import GridRow, PlannedModel
from app.experiments.service import LaunchRequest
from app.runs.lock import VALIDATION
from app.web.forms import text, texts, whole

BUILT_IN, HUGGING_FACE = "builtin", "hf"
# What the control offers: {value: label}.
SEEDS = {"1": "1 seed", "1,2": "2 seeds", "1,2,3": "3", "1,2,3,4,5": "5"}


@dataclass(frozen=True)
class LaunchForm:
    """The launch page's choices."""

    dataset_id: int
    split_id: int
    name: str = ""
    models: tuple[str, ...] = ()
    hugging_face: str = ""
    seed_list: str = "1"
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    chosen_presets: dict[str, str] = field(default_factory=dict)
    launch_key: str = field(default_factory=lambda: secrets.token_hex(12))
    # Texts as posted, so that what cannot be used is shown again: {"kind": "folds", "folds": "5", ...}
    design: dict[str, str] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    choose_on: str = ""
    # Per cent of train for a validation part, and the seed of the draw, as posted.
    validation: str = ""
    validation_seed: str = "1"
    # Names typed for services, as posted: {"together": "Qwen/Qwen3-8B"}, {"prompt/openai": "gpt-5.4"}
    typed: dict[str, str] = field(default_factory=dict)
    # Dollars that the experiment may cost, as posted.
    cap: str = ""
    # Who trains the Hugging Face models that are ticked or typed: each of these, see BUILT_IN.
    trainers: tuple[str, ...] = (BUILT_IN,)
    # Where a model trains, by its id: the name of a compute; this machine is left out.
    places: dict[str, str] = field(default_factory=dict)

    @property
    def cap_dollars(self) -> float | None:
        """The cap; raises Invalid with a sentence."""
        try:
            return float(self.cap.replace("$", "").replace(",", "")) if self.cap else None
        except ValueError:
            return -1.0

    @property
    def from_train(self) -> FromTrain:
        """The validation part to draw; raises Invalid with a sentence."""
        return read_from_train(self.validation, self.validation_seed)

    @property
    def read_design(self) -> Design:
        """The design; raises Invalid with a sentence."""
        return read_design({name: value for name, value in self.design.items() if value})

    @property
    def grid(self) -> list[GridRow]:
        """The models asked for, in the order of the tiles."""
        return [
            GridRow(model, self.asked.get(model, {}), self.places.get(model, "")) for model in self.models
        ]

    @property
    def ticked(self) -> tuple[str, ...]:
        """The tiles that are ticked: a model that a toolkit trains has the tile of its base model."""
        return tuple(untrained(model) for model in self.models)

    @property
    def seeds(self) -> list[int]:
        """The chosen seeds as numbers."""
        return [int(part) for part in self.seed_list.split(",")]

    @property
    def seed_options(self) -> list[tuple[str, str]]:
        """What the control offers, with the present choice when it is another (a cloned run's seed)."""
        options = dict(SEEDS)
        options.setdefault(self.seed_list, f"seed {self.seed_list.replace(',', ', ')}")
        return list(options.items())


def read_launch_form(form: FormData) -> LaunchForm:
    """The form as posted; unknown models stay in and are refused by the plan, with a sentence."""
    models = texts(form, "models")
    typed = [name.strip().removeprefix("hf/") for name in text(form, "hugging_face").split(",")]
    models += [f"hf/{name}" for name in typed if name]
    services = _typed(form)
    models += [
        f"{place}/{name.strip()}"
        for place, names in services.items()
        for name in names.split(",")
        if name.strip()
    ]
    trainers = tuple(dict.fromkeys(texts(form, "trainers"))) or (BUILT_IN,)
    models = list(dict.fromkeys(each for model in models for each in by_trainers(model, trainers)))
    asked, chosen = {}, {}
    for model in models:
        chosen[model] = text(form, f"preset:{model}")
        asked[model] = _asked(form, model, chosen[model])
    return LaunchForm(
        whole(form, "dataset"),
        whole(form, "split"),
        text(form, "name")[:200],
        tuple(models),
        text(form, "hugging_face"),
        _seed_list(text(form, "seeds", "1")),
        asked,
        chosen,
        text(form, "launch_key")[:64] or secrets.token_hex(12),
        _design(form),
        _augment(form),
        VALIDATION if text(form, "choose_on") else "",
        text(form, "validation")[:20],
        text(form, "validation_seed", "1")[:20],
        services,
        text(form, "cap")[:20],
        trainers,
        {model: place for model in models if (place := text(form, f"where:{model}")[:60])},
    )


def by_trainers(model: str, trainers: Sequence[str]) -> list[str]:
    """A Hugging Face model as each of the trainers is asked for it; any other model as it is."""
    group, _, name = model.partition("/")
    if group != HUGGING_FACE:
        return [model]
    return [f"{HUGGING_FACE if trainer == BUILT_IN else trainer}/{name}" for trainer in trainers]


def untrained(model: str) -> str:
    """The id of the base model's own tile: hf/<name> of <toolkit>/<name>."""
    group, _, name = model.partition("/")
    return f"{HUGGING_FACE}/{name}" if group in toolkits() else model


def _typed(form: FormData) -> dict[str, str]:
    """What was typed into the fields of the services."""
    places = [key.removeprefix("typed:") for key in form if key.startswith("typed:")]
    return {place: text(form, f"typed:{place}")[:2000] for place in places}


# What each design's fields are called in the form: {design: {its own name: the form's}}.
DESIGN_FIELDS = {
    "folds": {"folds": "folds", "seed": "fold_seed", "key": "fold_key", "pattern": "fold_pattern"},
    "groups": {"key": "group_key", "pattern": "group_pattern"},
    "sizes": {"shares": "shares", "seed": "size_seed"},
}


def _design(form: FormData) -> dict[str, str]:
    kind = text(form, "design", "plain") or "plain"
    named = DESIGN_FIELDS.get(kind, {})
    return {"kind": kind} | {name: text(form, field_name) for name, field_name in named.items()}


def form_design(stored: Mapping[str, Any]) -> dict[str, str]:
    """A stored design as the form's fields hold it."""
    texts_of = {name: str(value) for name, value in stored.items()}
    if "shares" in stored:
        texts_of["shares"] = ", ".join(f"{100 * share:g}" for share in stored["shares"])
    return texts_of


def _augment(form: FormData) -> dict[str, Any]:
    name = text(form, "augment")
    if not name:
        return {}
    prefix = f"augment:{name}:"
    given = {key.removeprefix(prefix): text(form, key) for key in form if key.startswith(prefix)}
    return {
        "name": name,
        "rewrites": text(form, "rewrites"),
        "seed": text(form, "augment_seed"),
        "parameters": given,
    }


def _seed_list(posted: str) -> str:
    parts = [part.strip() for part in posted.split(",")]
    return ",".join(parts) if len(parts) <= 20 and all(p.isdecimal() and len(p) < 11 for p in parts) else "1"


def _asked(form: FormData, model: str, preset: str) -> dict[str, Any]:
    memory = _memory(text(form, f"memory:{model}"))
    if preset != memory["preset"]:
        # A preset replaces what was typed before it.
        return dict(presets(find_model(model)).get(preset, {}))
    asked = dict(memory["asked"])
    for name, shown in memory["shown"].items():
        posted = text(form, f"h:{model}:{name}", str(shown))
        if posted != str(shown):
            asked.pop(name, None)
            if posted:
                asked[name] = posted
    return asked


def asked_launch(form: LaunchForm) -> LaunchRequest:
    """The form as a launch; raises Invalid for a design that cannot be read."""
    return LaunchRequest(
        form.dataset_id,
        form.split_id,
        form.name,
        form.grid,
        form.seeds,
        form.launch_key,
        form.read_design,
        form.augment,
        form.choose_on,
        form.from_train,
        form.cap_dollars,
    )


def read_from_train(share: str, seed: str) -> FromTrain:
    """A share in per cent and a seed as typed; raises Invalid with a sentence."""
    if not share:
        return FromTrain()
    try:
        part = float(share.rstrip("% ").replace(",", ".")) / 100
    except ValueError:
        part = -1.0
    if not 0 < part < 1:
        raise Invalid(
            f"The validation part cannot be {share!r} of train.",
            "Write a percentage above 0 and below 100, for example 10, or nothing.",
            {"validation": "a percentage above 0 and below 100"},
        )
    if not (seed.isascii() and seed.isdigit() and int(seed) < 2**31):
        raise Invalid(
            f"The seed of the validation part is {seed!r}.",
            "Write a whole number from 0 to 2,147,483,647.",
            {"validation_seed": "a whole number"},
        )
    return FromTrain(part, int(seed))


def _memory(raw: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = {}
    found = found if isinstance(found, dict) else {}
    return {
        "preset": str(found.get("preset", "")),
        "asked": found.get("asked") if isinstance(found.get("asked"), dict) else {},
        "shown": found.get("shown") if isinstance(found.get("shown"), dict) else {},
    }


def remember(row: PlannedModel, preset: str) -> str:
    """The hidden field of one planned model: what was asked so far and what the fields now show."""
    shown = {name: shown_text(value) for name, value in row.values.items()}
    return json.dumps({"preset": preset, "asked": row.asked, "shown": shown})
