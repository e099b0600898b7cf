"""What the choice of hyperparameters depends on, and each model's answer to it: suggestions, estimates, problems."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app import baselines, preferences
from app.catalog import hosted, prompted
from app.catalog.model import Model
from app.catalog.models import toolkits, trainer
from app.config import settings
from app.errors import Invalid
from app.hyperparameters import Hyperparameter
from app.providers import providers
from app.trainers import _prediction
from app.trainers._shared import fields_of


@dataclass(frozen=True)
class DataFacts:
    """A split as the models see it. Tokens are estimates."""

    task: str
    labels: tuple[str, ...]
    train_items: int
    validation_items: int
    test_items: int
    mean_tokens: float
    max_tokens: int
    mean_characters: float
    # Room for the longest answer.
    answer_tokens: int = 64
    # The JSON schema of the answers where all rows name the same; empty where they do not.
    answer_schema: str = ""
    groups: dict[str, int] = field(default_factory=dict)
    # Items that have a rejected answer, by part.
    rejected: dict[str, int] = field(default_factory=dict)
    # The best score that contradictory labels leave, as a sentence; empty when there are none.
    ceiling: str = ""
    # About where it trains, when that is not this machine: {"memory_bytes": int or None}.
    elsewhere: dict[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Training items with a rejected answer."""
        return self.rejected.get("train", 0)


def hyperparameters(model: Model) -> tuple[Hyperparameter, ...]:
    """Every hyperparameter of the model, in the order of the forms."""
    if model.kind == "baseline":
        kind = baselines.load(model.id.partition("/")[2])
        return tuple(Hyperparameter(**field) for field in kind.hyperparameters)
    if model.kind == "hosted" and model.offer:
        return hosted.hyperparameters(model.provider, model.offer)
    if model.kind == "prompt":
        return prompted.hyperparameters(providers().get(model.provider))
    if model.kind == "toolkit":
        return fields_of(toolkits()[model.trainer])
    return trainer().hyperparameters(model.id)


def offered(model: Model, facts: DataFacts, asked: Mapping[str, Any]) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that there is something to choose of on this data."""
    return preferences.offered(hyperparameters(model), asked, facts.pairs)


def suggest(model: Model, facts: DataFacts, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A sensible value for every hyperparameter on this data, beside those that a person `asked` for."""
    asked, shapes, seen = asked or {}, hyperparameters(model), facts
    if preferences.is_dpo(asked):
        # It sees the items that have a rejected answer alone.
        seen = replace(facts, train_items=facts.pairs, validation_items=facts.rejected.get("validation", 0))
    return preferences.suggested(shapes, _suggest(model, seen), asked, facts.pairs)


def _suggest(model: Model, facts: DataFacts) -> dict[str, Any]:
    if model.kind == "baseline":
        return {field.name: field.default for field in hyperparameters(model)}
    if model.kind == "hosted" and model.offer:
        return hosted.suggest(model.provider, model.offer, asdict(facts))
    if model.kind == "prompt":
        return prompted.suggest(providers().get(model.provider), asdict(facts))
    if model.kind == "toolkit":
        return _suggest_toolkit(model, facts)
    return trainer().suggest(model.id, asdict(facts))


def _built_in(model: Model) -> str:
    """The same base model as the built-in trainer calls it."""
    return f"hf/{model.id.partition('/')[2]}"


def _suggest_toolkit(model: Model, facts: DataFacts) -> dict[str, Any]:
    """What the built-in trainer would choose, where the toolkit has it and thinks no otherwise; else its defaults."""
    toolkit = toolkits()[model.trainer]
    chosen = trainer().suggest(_built_in(model), asdict(facts)) | dict(toolkit.defaults)
    shapes = fields_of(toolkit)
    values = {shape.name: chosen.get(shape.name, shape.default) for shape in shapes}
    return {
        shape.name: shape.default
        if shape.choices and values[shape.name] not in shape.choices
        else values[shape.name]
        for shape in shapes
    }


def presets(model: Model) -> dict[str, dict[str, Any]]:
    """Named sets of values, for example {"LoRA r 8, alpha 32": {...}}."""
    if model.kind == "toolkit":
        known = {shape.name for shape in hyperparameters(model)}
        found = trainer().presets(_built_in(model))
        return {label: values for label, values in found.items() if known.issuperset(values)}
    return trainer().presets(model.id) if model.kind in ("starter", "hf") else {}


def estimate(model: Model, facts: DataFacts, values: Mapping[str, Any]) -> dict[str, Any]:
    """{"tokens": int or None, "seconds": float or None, "microdollars": int or None} for one seed, and for a service's
    model "predicting" (that part of the money) and "basis": how it was computed and from which price. None: not known."""
    cores = settings().threads_per_run
    if model.kind == "baseline":
        kind = baselines.load(model.id.partition("/")[2])
        seconds = kind.estimate(facts.train_items, facts.mean_characters, cores)
        return {"tokens": None, "seconds": seconds, "microdollars": 0}
    if model.offer is not None:
        return _remote_estimate(model, asdict(facts), values)
    if model.kind == "toolkit":
        defaults = trainer().suggest(_built_in(model), asdict(facts))
        guess = trainer().estimate(_built_in(model), asdict(facts), {**defaults, **values}, cores)
        return {"tokens": guess["tokens"], "seconds": guess["seconds"], "microdollars": 0}
    guess = trainer().estimate(model.id, asdict(facts), dict(values), cores)
    return {"tokens": guess["tokens"], "seconds": guess["seconds"], "microdollars": 0}


def _remote_estimate(model: Model, facts: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    assert model.offer is not None
    if model.kind == "hosted":
        return hosted.estimate(model.provider, model.offer, facts, values)
    return prompted.estimate(providers().get(model.provider), model.offer, facts, values)


def problems(model: Model, facts: DataFacts, values: Mapping[str, Any]) -> list[str]:
    """What would go wrong, as sentences; empty when the model can be launched."""
    if model.unavailable:
        reason = model.unavailable.rstrip(".")
        mend = " Enter it under Settings." if reason.startswith("needs a key") else ""
        return [f"{model.label} cannot run here: {reason}.{mend}"]
    wrong = preferences.problems(model.label, hyperparameters(model), values, facts.pairs)
    return wrong or _problems(model, facts, values)


def _problems(model: Model, facts: DataFacts, values: Mapping[str, Any]) -> list[str]:
    if model.kind == "baseline":
        kind = baselines.load(model.id.partition("/")[2])
        if facts.task not in kind.tasks:
            return [f"{model.label} does not do the task {facts.task!r}; it does {', '.join(kind.tasks)}."]
        return []
    if model.kind == "hosted" and model.offer:
        return hosted.problems(model.provider, model.offer, asdict(facts), values)
    if model.kind == "prompt" and model.offer:
        return prompted.problems(model.offer, asdict(facts), values)
    if model.kind == "toolkit":
        return _toolkit_problems(model, facts, values)
    return trainer().problems(model.id, asdict(facts) | facts.elsewhere, dict(values))


def _toolkit_problems(model: Model, facts: DataFacts, values: Mapping[str, Any]) -> list[str]:
    found = [
        *toolkits()[model.trainer].problems(values),
        *_prediction.problems(model.label, facts.task, values),
    ]
    longest = values.get("max_seq_len")
    if longest is not None and facts.max_tokens > longest:
        found.append(
            f"{model.label}: the longest row has about {facts.max_tokens:,} tokens, more than {longest:,}, and would be "
            "cut. Raise the longest row, or shorten the row."
        )
    return found


def parse_values(model: Model, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a person set, checked and converted; empty texts count as not set.

    Raises Invalid with one message per hyperparameter that is unknown or out of range.
    """
    known = {field.name: field for field in hyperparameters(model)}
    values, wrong = {}, {}
    for name, raw in asked.items():
        if name not in known:
            wrong[name] = f"{model.label} has no hyperparameter {name!r}; it has {', '.join(known) or 'none'}"
            continue
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            continue
        try:
            values[name] = known[name].parse(raw)
        except ValueError as error:
            wrong[name] = str(error)
    if wrong:
        raise Invalid(
            f"{model.label}: " + "; ".join(wrong.values()) + ".", "Change the values named above.", wrong
        )
    return values
