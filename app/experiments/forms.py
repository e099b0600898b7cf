"""The launch form: which models are ticked, and for each what a person changed.

Every field of the plan always holds a value. A hidden field per model remembers what was shown, so that only
what a person really changed counts as asked.
"""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from app.catalog.facts import presets
from app.catalog.models import find_model
from app.experiments.plan import GridRow, PlannedModel
from app.runs.ledger import text as as_text
from app.web.forms import text, texts, whole

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

    @property
    def grid(self) -> list[GridRow]:
        """The models asked for, in the order of the tiles."""
        return [GridRow(model, self.asked.get(model, {})) for model in self.models]

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
    models = list(dict.fromkeys(models))
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
    )


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
    shown = {name: as_text(value) if value is not None else "" for name, value in row.values.items()}
    return json.dumps({"preset": preset, "asked": row.asked, "shown": shown})
