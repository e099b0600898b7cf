"""A run made with one trainer as another would be given it: both configurations side by side, and what has no equal.

Called by routes.py and api.py; the launch page is then filled in by clone.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from app.catalog import facts as choices
from app.catalog.model import Model
from app.catalog.models import find_model, toolkits
from app.datasets.queries import find_split
from app.errors import Invalid
from app.experiments.facts import data_facts
from app.experiments.forms import BUILT_IN, HUGGING_FACE, untrained
from app.lab.actor import Actor, find
from app.runs.ledger import sent_values, text
from app.runs.prepare import has_gpu, make_job, render
from app.tables import Dataset, Machine, Run, Split

LEFT_OUT = ("run.sh", "README.md", "here.json", "environment.json", "environment.txt")


@dataclass(frozen=True)
class Line:
    """One hyperparameter: its value and key with either trainer, "" where a trainer has none."""

    name: str
    label: str
    value: str
    key: str
    other_value: str
    other_key: str

    @property
    def changed(self) -> bool:
        """Whether both have it with different values."""
        return bool(self.key and self.other_key) and self.value != self.other_value


@dataclass(frozen=True)
class Conversion:
    """`values` are what the other trainer is asked for; `lost` has no equal there, `added` has none here."""

    run: Run
    model: Model
    other: Model
    lines: list[Line]
    lost: list[Line]
    added: list[Line]
    files: Mapping[str, str]
    other_files: Mapping[str, str]
    values: Mapping[str, Any]
    problems: list[str]


def trainers_for(run_model: str) -> list[tuple[str, str]]:
    """The other trainers that take the run's base model, as (name, label); [] for a model that only one trainer makes."""
    base = untrained(run_model)
    if not base.startswith(f"{HUGGING_FACE}/"):
        return []
    present = find_model(run_model).trainer
    return [(name, trainer_label(name)) for name in (BUILT_IN, *toolkits()) if name != present]


def trainer_label(name: str) -> str:
    """What a trainer is called on pages."""
    return toolkits()[name].label if name in toolkits() else "Built-in"


def convert(session: Session, actor: Actor, run_id: int, to: str) -> Conversion:
    """The run with the trainer `to`. Raises Invalid where that trainer cannot take the model."""
    run: Run = find(session, actor, Run, run_id)
    if to not in dict(trainers_for(run.model)):
        raise Invalid(
            f"Run {run_id} cannot be made by {to[:40]!r}.",
            f"Choose among: {', '.join(dict(trainers_for(run.model))) or 'nothing, only one trainer makes this model'}.",
            {"to": "no such trainer for this model"},
        )
    dataset = session.get_one(Dataset, run.dataset_id)
    split = find_split(session, actor, run.dataset_id, str(run.split_id))
    name = untrained(run.model).partition("/")[2]
    model, other = find_model(run.model), find_model(f"{HUGGING_FACE if to == BUILT_IN else to}/{name}")
    sent, facts = sent_values(run.ledger), data_facts(dataset, split)
    kept = carried(other, sent)
    values = {**choices.suggest(other, facts, kept), **kept}
    lines = _lines(model, other, sent, values)
    gpu = has_gpu(session.get(Machine, run.machine_id) if run.machine_id else None)
    return Conversion(
        run,
        model,
        other,
        [line for line in lines if line.key and line.other_key],
        [line for line in lines if not line.other_key and line.value],
        [line for line in lines if not line.key and line.other_value],
        _files(run, run.model, sent, dataset, split, gpu),
        _files(run, other.id, values, dataset, split, gpu),
        values,
        choices.problems(other, facts, values),
    )


def carried(other: Model, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the other trainer takes as they are."""
    kept = {}
    for shape in choices.hyperparameters(other):
        if shape.name in sent:
            try:
                kept[shape.name] = shape.parse(sent[shape.name])
            except ValueError:
                continue
    return kept


def _lines(model: Model, other: Model, sent: Mapping[str, Any], values: Mapping[str, Any]) -> list[Line]:
    own = {shape.name: shape for shape in choices.hyperparameters(model)}
    # Those of another objective have no value.
    others = {shape.name: shape for shape in choices.hyperparameters(other) if shape.name in values}
    names = [name for name in {**own, **others} if name in sent or name in others]
    return [
        Line(
            name,
            (others.get(name) or own[name]).label,
            text(sent[name]) if name in sent else "",
            _key(model, name) if name in sent else "",
            text(values[name]) if name in others else "",
            _key(other, name) if name in others else "",
        )
        for name in names
    ]


def _key(model: Model, name: str) -> str:
    """The trainer's own word for a hyperparameter."""
    toolkit = toolkits().get(model.trainer)
    return toolkit.keys.get(name, name).strip("()") if toolkit else name


def _files(
    run: Run, model: str, values: Mapping[str, Any], dataset: Dataset, split: Split, gpu: bool
) -> dict[str, str]:
    ledger = {
        name: {"asked": None, "sent": value, "resolved": None, "source": ""} for name, value in values.items()
    }
    like = Run(**{**run.model_dump(exclude={"id"}), "model": model, "ledger": ledger})
    rendered = render(replace(make_job(like, dataset, split), gpu=gpu)).files
    found = {name: body for name, body in rendered.items() if name not in LEFT_OUT}
    # A toolkit's own file says it all; config.json repeats it for our runner.
    return {name: body for name, body in found.items() if name != "config.json"} or found
