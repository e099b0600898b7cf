"""Brings predictions made elsewhere into an experiment, as a run `imported/<name>`."""

import re
import secrets
from typing import BinaryIO

from sqlmodel import Session, select

from app.clock import now
from app.datasets.stored import part_items
from app.db import clean
from app.errors import Conflict, Invalid
from app.evaluations.answers import default_rules
from app.evaluations.service import NewPrediction, score_evaluation, store_evaluation
from app.experiments.import_file import MAX_BYTES, MAX_ROWS, ImportedRow, read_rows
from app.experiments.match import match_rows
from app.experiments.service import snapshot
from app.lab.actor import Actor, find, require_member
from app.runs.lifecycle import move
from app.tables import Dataset, Experiment, Run, RunState, Split

NAME = re.compile(r"^[\w][\w .:+/@-]{0,79}$")


def import_predictions(
    session: Session, actor: Actor, experiment_id: int, name: str, file: BinaryIO
) -> tuple[Run, str]:
    """Stores and scores the file's predictions; returns the run and how rows were matched to items.

    Raises Invalid with a sentence for a bad name, file or row: nothing is kept then.
    """
    require_member(actor, "import predictions")
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    dataset, split = (
        session.get_one(Dataset, experiment.dataset_id),
        session.get_one(Split, experiment.split_id),
    )
    run = _new_run(session, actor, experiment, dataset, split, name.strip())
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Invalid("The file is larger than 1 GiB.", "Leave out columns that are not needed.")
    rows = read_rows(data)
    if len(rows) > MAX_ROWS:
        raise Invalid(f"{len(rows):,} rows are too many.", f"At most {MAX_ROWS:,} are taken.")
    items = list(part_items(session, dataset, split, "test"))
    matched, matched_by = match_rows(rows, items)
    labels = _labels(dataset, rows)
    predictions = [
        NewPrediction(
            item.number,
            clean(row.answer),
            [row.probabilities.get(label, 0.0) for label in labels] if row.probabilities and labels else None,
            row.logprob,
        )
        for row, item in sorted(zip(rows, matched, strict=True), key=lambda pair: pair[1].number)
    ]
    move(session, run, RunState.SCORING)
    evaluation = store_evaluation(session, run, labels, predictions, {"source": "imported"}, matched_by)
    score_evaluation(session, evaluation, run, default_rules(dataset.task))
    move(session, run, RunState.DONE, progress=1.0)
    return run, matched_by


def _labels(dataset: Dataset, rows: list[ImportedRow]) -> list[str]:
    """The dataset's classes; probabilities of a class it does not have are refused."""
    strangers = {label for row in rows for label in row.probabilities or {}} - set(dataset.labels)
    if strangers:
        raise Invalid(
            f"The file has probabilities of {', '.join(sorted(strangers)[:5])}, which are no classes of this dataset.",
            f"Its classes are {', '.join(dataset.labels) or 'none'}.",
        )
    return list(dataset.labels)


def _new_run(
    session: Session, actor: Actor, experiment: Experiment, dataset: Dataset, split: Split, name: str
) -> Run:
    if not NAME.match(name):
        raise Invalid(
            f"{name!r} cannot be the name of a model." if name else "The model has no name.",
            "Use letters, digits, blanks and . : + / @ - _, at most 80, for example gpt-4o-mini.",
            {"model": "not a usable name"},
        )
    model = f"imported/{name}"
    same = session.exec(select(Run).where(Run.experiment_id == experiment.id, Run.model == model)).first()
    if same:
        raise Conflict(
            f"This experiment has imported predictions named {name!r} already.", "Choose another name."
        )
    run = Run(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        experiment_id=experiment.id or 0,
        dataset_id=experiment.dataset_id,
        split_id=experiment.split_id,
        model=model,
        launch_key=f"tb-{secrets.token_hex(8)}",
        snapshot={**snapshot(dataset, split), "imported": now().isoformat(timespec="seconds")},
    )
    session.add(run)
    session.flush()
    return run
