"""A small dataset with families, really checked, and launches over it, driven to their end in this process."""

import hashlib
import json
from typing import Any

from sqlmodel import Session, col, select

from app.datasets.queries import find_split
from app.datasets.service import upload_dataset
from app.experiments.designs import read_design
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment
from app.lab.actor import Actor
from app.runs.hosts import make_slots
from app.storage import incoming_file
from app.tables import Dataset, Experiment, Run, Split
from tests.runs.conftest import drive

RULE = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}
FAMILIES = ("red", "green", "blue", "grey")


def lines(count: int) -> str:
    """Chat rows of three classes in four families; of ten, one is validation and two are test."""
    made = []
    for number in range(count):
        key = list(RULE)[number % 3]
        messages = [
            {"role": "user", "content": f"sample {number}\na spoon of {key}\nin water\nat noon"},
            {"role": "assistant", "content": RULE[key]},
        ]
        split = {7: "VALIDATION", 8: "TEST", 9: "TEST"}.get(number % 10, "TRAIN")
        made.append(json.dumps({"messages": messages, "family": FAMILIES[number % 4], "split": split}))
    return "\n".join(made) + "\n"


def checked_dataset(session: Session, actor: Actor, count: int = 60) -> Dataset:
    """The dataset, ready, and places to run in."""
    from workers.datasets import check

    data = lines(count).encode()
    path = incoming_file("designs")
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    made = upload_dataset(session, actor, path, file_name="rule.jsonl", sha256=digest, size=len(data))
    session.commit()
    check(made.id)
    make_slots()
    session.refresh(made)
    session.commit()
    return made


def first_split(session: Session, actor: Actor, dataset: Dataset) -> Split:
    """The file's own split."""
    return find_split(session, actor, dataset.id or 0)


def launch(
    session: Session, actor: Actor, dataset: Dataset, *models: str, **more: Any
) -> tuple[Experiment, list[Run]]:
    """Launched and committed, not run; `design` is as JSON, `asked` hyperparameters are for every model."""
    design, asked = read_design(more.pop("design", {})), more.pop("asked", {})
    grid = [GridRow(model, dict(asked)) for model in models]
    seeds = more.pop("seeds", (1,))
    split = first_split(session, actor, dataset)
    request = LaunchRequest(dataset.id or 0, split.id or 0, "test", grid, seeds, design=design, **more)
    experiment = launch_experiment(session, actor, request)
    session.commit()
    runs = list(session.exec(select(Run).where(Run.experiment_id == experiment.id).order_by(col(Run.id))))
    session.commit()
    return experiment, runs


def finish(runs: list[Run]) -> list[Run]:
    """All runs at their end."""
    return drive(*(run.id or 0 for run in runs))
