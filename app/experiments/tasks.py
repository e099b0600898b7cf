"""An experiment's test items as a task of an evaluation harness that asks the door. Used by routes.py and api.py."""

import re
import zipfile
from typing import BinaryIO

from sqlmodel import Session, col, select

from app.datasets.stored import part_items
from app.errors import Conflict, NotFound
from app.harnesses import Harness, Question, TaskSet, harnesses
from app.lab.actor import Actor, find
from app.runs.prepare import max_new_tokens
from app.tables import Dataset, Experiment, Run, RunState, Split

README = """{title}: the test items as a task of {label}

{commands}

Each command is one line; run them in this folder. API tokens are made on Tunebook's Lab page.
Afterwards bring {log} back: on the experiment's page, "Import predictions made elsewhere". Every item is found by its
id, scored by Tunebook's own rules and stands in the same table.

{docs_url}
"""


def find_harness(name: str) -> Harness:
    """A harness by name; raises NotFound."""
    found = harnesses().get(name)
    if found is None:
        raise NotFound(f"There is no harness {name[:50]!r}.", f"There are: {', '.join(harnesses())}.")
    return found


def write_task(
    session: Session, actor: Actor, experiment_id: int, harness: Harness, address: str, file: BinaryIO
) -> None:
    """Writes the task as a zip; `address` is where Tunebook is reached. Raises Conflict where the harness cannot hold these items."""
    tasks = task_set(session, actor, experiment_id, address)
    problem = harness.problem(tasks)
    if problem:
        raise Conflict(f"{harness.label} cannot take this experiment: {problem}.", "Choose another harness.")
    readme = README.format(
        title=tasks.title,
        label=harness.label,
        commands="\n".join(harness.commands(tasks)),
        log=harness.log,
        docs_url=harness.docs_url,
    )
    folder = f"{tasks.name}-{harness.name}"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"README.md": readme, **harness.files(tasks)}.items():
            archive.writestr(f"{folder}/{name}", text)


def task_set(session: Session, actor: Actor, experiment_id: int, address: str) -> TaskSet:
    """The experiment's test items, and those of its runs that answer at the door."""
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    dataset = session.get_one(Dataset, experiment.dataset_id)
    split = session.get_one(Split, experiment.split_id)
    done = session.exec(
        select(Run)
        .where(Run.experiment_id == experiment_id, Run.state == RunState.DONE, col(Run.pooled).is_(False))
        .order_by(col(Run.id))
    )
    return TaskSet(
        name="_".join(re.findall(r"[a-z0-9]+", f"tunebook {experiment_id} {experiment.name}".lower()))[:60],
        title=experiment.name,
        questions=[
            Question(item.item_id, item.prompt, item.answer)
            for item in part_items(session, dataset, split, "test")
        ],
        models=[f"run-{run.id}" for run in done if not run.model.startswith("imported/")],
        address=f"{address}/v1",
        max_tokens=max_new_tokens(dataset),
    )
