"""Changes of datasets: upload, sample, column mapping, task, splits. Called by pages, API and command line."""

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.datasets.columns import FIELDS, OPTIONAL, UNMAPPED
from app.datasets.lost import put_back
from app.datasets.make_split import SplitRequest, default_name, draw_split
from app.datasets.samples import SAMPLES
from app.datasets.task import MOST_LABELS, TASKS, is_number, order_labels
from app.db import is_sqlite, new_session
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, find, require_member
from app.queue import CHECK_DATASET, enqueue
from app.storage import dataset_file, incoming_file, keep
from app.stored_files import note
from app.tables import Dataset, DatasetState, Item, Split

LONGEST_NAME = 200


def upload_dataset(
    session: Session,
    actor: Actor,
    path: Path,
    *,
    file_name: str,
    sha256: str,
    size: int,
    name: str = "",
    mapping: Mapping[str, Any] | None = None,
    task: str = "",
    origin: str = "",
) -> Dataset:
    """Takes a file that lies complete at `path` (it is moved) and queues its check. Where the project has a dataset of
    the same bytes whose own file is lost, they are put back in its place, and it is what is given.

    `mapping` names the columns of a CSV or Parquet file by field (prompt, answer, rejected, system, split); `task` is
    one of TASKS or "" to detect it. Raises Invalid for a bad mapping or task.
    """
    require_member(actor, "upload datasets")
    mended = put_back(session, actor, path, sha256)
    if mended:
        return mended
    dataset = Dataset(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=_clean(name)[:LONGEST_NAME] or _clean(Path(file_name).stem)[:LONGEST_NAME] or "dataset",
        file_name=_clean(file_name)[:300],
        sha256=sha256,
        size_bytes=size,
        mapping=check_mapping(mapping or {}),
        task=_check_task(task) if task else "",
        origin=origin,
    )
    session.add(dataset)
    session.flush()
    final = dataset_file(dataset.id or 0)
    keep(path, final)
    note(session, final)
    enqueue(session, CHECK_DATASET, dataset.id or 0)
    return dataset


def add_sample(session: Session, actor: Actor, key: str) -> Dataset:
    """Writes a built-in sample and queues its check like an upload. Raises NotFound for an unknown key."""
    require_member(actor, "add datasets")
    sample = SAMPLES.get(key)
    if sample is None:
        raise NotFound(f"There is no sample {key!r}.", f"There are {', '.join(SAMPLES)}.")
    data = sample.data()
    path = incoming_file(secrets.token_hex(16))
    path.write_bytes(data)
    return upload_dataset(
        session,
        actor,
        path,
        file_name=f"{key}.jsonl",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        name=sample.title,
        origin=sample.origin,
    )


def map_dataset(session: Session, actor: Actor, dataset_id: int, mapping: Mapping[str, Any]) -> Dataset:
    """Checks a kept CSV or Parquet file again with a mapping of its columns.

    Only a file that was refused for its columns alone is kept; raises Conflict for any other dataset.
    """
    require_member(actor, "change datasets")
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    if not can_map(dataset):
        raise Conflict(
            f"The columns of this dataset cannot be mapped: it is {dataset.state}.",
            "Upload the file again with a mapping.",
        )
    session.execute(
        update(Dataset)
        .where(col(Dataset.id) == dataset_id, col(Dataset.state) == DatasetState.REFUSED)
        .values(
            state=DatasetState.QUEUED,
            progress=0.0,
            mapping=check_mapping(mapping),
            problems=[],
            problem_count=0,
            warnings=[],
            attempt=0,
            due_at=None,
        )
    )
    session.refresh(dataset)
    enqueue(session, CHECK_DATASET, dataset_id)
    return dataset


def can_map(dataset: Dataset) -> bool:
    """Whether the file was kept because only a mapping of its columns is wanted."""
    codes = {problem["code"] for problem in dataset.problems}
    return dataset.state == DatasetState.REFUSED and codes == {UNMAPPED}


def check_mapping(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The mapping with only known fields and texts; raises Invalid for others."""
    wrong = {
        str(name): f"not a field; fields are {', '.join(FIELDS)}"
        if name not in FIELDS
        else "not a column's name"
        for name, column in mapping.items()
        if name not in FIELDS or not isinstance(column, str) or len(column) > 200
    }
    if wrong:
        name, said = next(iter(wrong.items()))
        raise Invalid(
            f"The mapping cannot be used: {name[:50]!r} is {said}.",
            'Write for example {"prompt": "question", "answer": "label"}; other columns become metadata.',
            {"mapping": said},
        )
    return {name: column for name, column in mapping.items() if column or name in OPTIONAL}


def correct_task(session: Session, actor: Actor, dataset_id: int, task: str) -> Dataset:
    """Sets the task of a ready dataset, and its labels with it. Runs made before keep theirs in the snapshot.

    Raises Invalid when the answers do not allow the task: too many kinds, or answers that are no numbers.
    """
    require_member(actor, "change datasets")
    dataset = _ready(session, actor, dataset_id)
    _check_task(task)
    labels: list[str] = []
    if task == "classification":
        labels = _closed_labels(session, dataset)
    if task == "number":
        _need_numbers(session, dataset)
    dataset.task, dataset.labels = task, labels
    session.add(dataset)
    session.flush()
    return dataset


def _closed_labels(session: Session, dataset: Dataset) -> list[str]:
    counts = label_counts(session, dataset, MOST_LABELS + 1)
    if None in counts or len(counts) > MOST_LABELS:
        raise Invalid(
            "These answers are no closed set: "
            + (
                "some are longer than 64 characters."
                if None in counts
                else f"more than {MOST_LABELS} differ."
            ),
            "Choose free text, list or number.",
            {"task": "the answers are no closed set"},
        )
    labels = list(dataset.facts.get("labels") or {})
    return labels or order_labels({str(label): count for label, count in counts.items()})


def label_counts(session: Session, dataset: Dataset, limit: int) -> dict[str | None, int]:
    """{label: items}, at most `limit` of them; None stands for answers too long to be one."""
    found = session.exec(
        select(Item.label, func.count())
        .where(Item.dataset_id == dataset.id)
        .group_by(col(Item.label))
        .limit(limit)
    )
    return dict(found.all())  # type: ignore[arg-type]


def _need_numbers(session: Session, dataset: Dataset) -> None:
    found = session.exec(
        select(Item.line, Item.label)
        .where(Item.dataset_id == dataset.id)
        .order_by(col(Item.number))
        .limit(5000)
    ).all()
    other = [(line, label) for line, label in found if label is None or not is_number(label)]
    if 2 * len(other) > len(found):
        line, label = other[0]
        said = f"{label!r}" if label is not None else "a long text"
        raise Invalid(
            f"Most answers are no numbers: line {line} has {said}.",
            "Choose another task.",
            {"task": "the answers are no numbers"},
        )


def make_split(session: Session, actor: Actor, dataset_id: int, request: SplitRequest) -> Split:
    """Draws a split and stores it for good. Raises Invalid when it cannot be drawn, Conflict for a taken name."""
    require_member(actor, "make splits")
    # Reading all items may take seconds: on SQLite by a reading connection, so that no writer waits. A ready dataset
    # never changes.
    with new_session(write=False) if is_sqlite(session) else nullcontext(session) as reading:
        dataset = _ready(reading, actor, dataset_id)
        name = request.name.strip()[:100] or default_name(request)
        taken = reading.exec(
            select(Split.id).where(Split.dataset_id == dataset_id, Split.name == name)
        ).first()
        if taken:
            raise Conflict(
                f"This dataset has a split named {name!r} already.",
                "Splits are never changed; give the new one another name.",
            )
        split = draw_split(reading, dataset, request)
    split.maker_id = actor.member_id
    session.add(split)
    session.flush()
    return split


def _ready(session: Session, actor: Actor, dataset_id: int) -> Dataset:
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    if dataset.state != DatasetState.READY:
        raise Conflict(f"The dataset is {dataset.state}, not ready.", "Wait for its check to end.")
    return dataset


def _check_task(task: str) -> str:
    if task not in TASKS:
        raise Invalid(
            f"There is no task {task!r}.", f"Choose one of {', '.join(TASKS)}.", {"task": "not a task"}
        )
    return task


def _clean(name: str) -> str:
    """A name on one line, without control characters and halves of surrogate pairs."""
    return "".join(letter for letter in name if letter.isprintable()).strip()
