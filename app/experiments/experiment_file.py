"""An experiment as one YAML file that launches the same again, here or in another Tunebook.

It names the data by hash, so it finds them under any name and number. Used by routes.py and api.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import yaml
from sqlmodel import Session, col, select

from app.catalog.facts import suggest
from app.catalog.models import find_model
from app.datasets.make_folds import POOLED
from app.datasets.make_split import SplitRequest
from app.datasets.queries import find_split
from app.datasets.service import make_split
from app.errors import Invalid, NotFound
from app.experiments.facts import data_facts
from app.experiments.planned import GridRow
from app.lab.actor import Actor, find, owned
from app.runs.ledger import sent_values
from app.tables import Dataset, DatasetState, Experiment, Run, Split

FORMAT = 1
HEAD = "# An experiment of Tunebook. Launch it again: tunebook launch THIS-FILE [--upload DATA-FILE]\n"
EXTRA = ("design", "augment", "choose_on")


def experiment_yaml(session: Session, actor: Actor, experiment_id: int) -> str:
    """The file: data and split by hash, every model with every hyperparameter, which of them a person chose."""
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    dataset = session.get_one(Dataset, experiment.dataset_id)
    split = session.get_one(Split, experiment.split_id)
    runs = session.exec(select(Run).where(Run.experiment_id == experiment_id).order_by(col(Run.id))).all()
    document = {
        "format": FORMAT,
        "name": experiment.name,
        "dataset": {"name": dataset.name, "sha256": dataset.sha256},
        "split": {
            "name": split.name,
            "kind": split.kind,
            "parameters": split.parameters,
            "sha256": split.sha256,
        },
        "models": [_model(row, runs) for row in experiment.grid],
        "seeds": list(experiment.seeds),
        **{name: getattr(experiment, name) for name in EXTRA if getattr(experiment, name)},
    }
    return HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _model(row: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    asked = dict(row["hyperparameters"])
    sent = next((sent_values(run.ledger) for run in runs if _belongs(run, row["model"], asked)), {})
    kept = {"model": row["model"], "hyperparameters": {**sent, **asked}, "asked": list(asked)}
    return kept | ({"compute": row["compute"]} if row.get("compute") else {})


def _belongs(run: Run, model: str, asked: Mapping[str, Any]) -> bool:
    """Whether the run came of this row; a list of values was spread over several runs."""
    sent = sent_values(run.ledger)
    fits = (
        sent.get(name) in value if isinstance(value, list) else sent.get(name) == value
        for name, value in asked.items()
    )
    return run.model == model and all(fits)


def dataset_by_hash(session: Session, actor: Actor, sha256: str, name: str = "") -> Dataset:
    """The newest ready dataset with this hash; raises NotFound."""
    query = owned(actor, Dataset).where(Dataset.sha256 == sha256.lower(), Dataset.state == DatasetState.READY)
    found: Dataset | None = session.exec(query.order_by(col(Dataset.id).desc())).first()
    if found is None:
        raise NotFound(
            f"No dataset here has the SHA-256 {sha256[:64]}{f' ({name[:100]!r})' if name else ''}.",
            "Upload the same file first, or launch with `tunebook launch FILE --upload DATA-FILE`.",
        )
    return found


def split_by_hash(
    session: Session,
    actor: Actor,
    dataset_id: int,
    sha256: str,
    kind: str,
    name: str,
    parameters: Mapping[str, Any],
) -> Split:
    """The dataset's split with this hash, drawn anew from its kind and parameters where it is not there. The
    pooled split of folds is dealt by the experiment's design, so the dataset's first split stands for it.

    Raises Invalid when what is drawn is another split.
    """
    if kind == POOLED:
        return find_split(session, actor, dataset_id)
    query = owned(actor, Split).where(Split.dataset_id == dataset_id, Split.sha256 == sha256.lower())
    found: Split | None = session.exec(query.order_by(col(Split.id))).first()
    if found is not None:
        return found
    made = make_split(session, actor, dataset_id, _split_request(kind, name, parameters))
    if made.sha256 != sha256.lower():
        raise Invalid(
            f"The split {name[:100]!r} drawn here has another hash ({made.sha256[:12]}) than the file names.",
            "The file was made from other data or by another version of Tunebook.",
            {"split": "another hash"},
        )
    return made


def _split_request(kind: str, name: str, parameters: Mapping[str, Any]) -> SplitRequest:
    """The split's parameters, checked by the type of each one's default."""
    standard = {one.name: one.default for one in fields(SplitRequest) if one.name not in ("kind", "name")}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()
    }
    wrong = [f"{key!r} is no parameter of a split" for key in values if key not in standard]
    wrong += [
        f"{key!r} cannot be {value!r}" for key, value in values.items() if not _fits(standard.get(key), value)
    ]
    if wrong or not kind:
        raise Invalid(
            f"The split {name[:100]!r} is not here and cannot be drawn: {(wrong or ['its kind is not said'])[0][:300]}.",
            "Take the file as Tunebook wrote it.",
            {"split": "not found"},
        )
    return SplitRequest(kind=kind, name=name, **values)


def _fits(standard: Any, value: Any) -> bool:
    if isinstance(standard, tuple):
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(standard, float):
        return number
    return number and isinstance(value, int) if isinstance(standard, int) else isinstance(value, str)


def settled_row(
    model: str,
    hyperparameters: Mapping[str, Any],
    asked: Sequence[str] | None,
    dataset: Dataset,
    split: Split,
    compute: str = "",
) -> GridRow:
    """The row as it was asked: without `asked` all values count as chosen by a person; else those named, and
    those that Tunebook would choose otherwise today."""
    if asked is None:
        return GridRow(model, dict(hyperparameters), compute)
    chosen = suggest(find_model(model), data_facts(dataset, split), hyperparameters)
    return GridRow(
        model,
        {
            name: value
            for name, value in hyperparameters.items()
            if name in asked or chosen.get(name) != value
        },
        compute,
    )
