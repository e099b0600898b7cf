"""Reads datasets for pages, the API and the experiments. Everything a page shows is in these dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import defer
from sqlmodel import Session, col

from app.config import settings
from app.datasets.formats import TITLES
from app.datasets.items import PART_NAMES
from app.datasets.leaks import ceiling_of, ceiling_sentence
from app.datasets.lost import trouble
from app.datasets.make_folds import DESIGN_KINDS
from app.datasets.samples import SAMPLES, Sample
from app.datasets.service import can_map
from app.datasets.stored import StoredItem, items_by_number
from app.datasets.task import TASKS
from app.errors import Invalid, NotFound
from app.lab.actor import Actor, find, owned
from app.tables import Dataset, DatasetState, Split

PAGE = 50
ITEMS_SHOWN = 10


@dataclass(frozen=True)
class DatasetRow:
    """One line of the list of datasets."""

    id: int
    name: str
    state: str
    progress: float
    task: str
    items: int
    size_bytes: int
    format: str
    format_title: str
    problem_count: int
    warning_count: int
    created_at: datetime
    sample: bool


@dataclass(frozen=True)
class SplitView:
    """One split as shown. `labels` is {part: {label: items}} (empty without labels), `leaks` is
    {"exact", "near"} (items) with "lines" and "near_lines", `rejected` is {part: items with a rejected answer};
    `ceiling` says the best score that
    contradictory labels leave, or nothing; `groups` are the names in a grouped split."""

    id: int
    name: str
    kind: str
    parameters: dict[str, Any]
    sha256: str
    counts: dict[str, int]
    labels: dict[str, dict[str, int]]
    leaks: dict[str, Any]
    rejected: dict[str, int]
    ceiling: str
    groups: list[str]
    remarks: list[str]
    default: bool
    created_at: datetime


@dataclass(frozen=True)
class ShownItem:
    """One item as the page shows it: its text and the part it has in the split that is looked at."""

    item: StoredItem
    part: str


@dataclass(frozen=True)
class ItemsPage:
    """Some items of a dataset. `next_after` is the number to continue behind, None at the end; `split` is
    the split whose parts are shown, None while there is none."""

    items: list[ShownItem]
    next_after: int | None
    total: int
    part: str
    split: Split | None


@dataclass(frozen=True)
class DatasetView:
    """Everything the page of one dataset shows. `problems` and `warnings` are dicts with the keys of
    app.datasets.flaws.Problem and Warned; `splits` is in the order of making, the default one first."""

    id: int
    name: str
    file_name: str
    sha256: str
    size_bytes: int
    state: str
    progress: float
    active: bool
    format: str
    format_title: str
    mapping: dict[str, str]
    can_map: bool
    columns: list[str]
    task: str
    task_detected: str
    task_title: str
    tasks: dict[str, str]
    labels: list[str]
    label_counts: dict[str, int]
    items: int
    facts: dict[str, Any]
    metadata_keys: list[str]
    problems: list[dict[str, Any]]
    problem_count: int
    warnings: list[dict[str, Any]]
    splits: list[SplitView]
    sample_items: list[ShownItem]
    origin: str
    created_at: datetime
    # What is wrong with the stored file: "is missing"; "" for nothing.
    lost: str

    @property
    def split(self) -> SplitView | None:
        """The default split."""
        return self.splits[0] if self.splits else None


def list_datasets(session: Session, actor: Actor, before: int | None = None) -> list[DatasetRow]:
    """The newest datasets, 50 at most; `before` an id gives older ones."""
    query = owned(actor, Dataset).order_by(col(Dataset.id).desc()).limit(PAGE)
    if before is not None:
        query = query.where(col(Dataset.id) < before)
    return [
        DatasetRow(
            id=row.id or 0,
            name=row.name,
            state=row.state,
            progress=row.progress,
            task=row.task,
            items=row.items,
            size_bytes=row.size_bytes,
            format=row.format,
            format_title=TITLES.get(row.format, ""),
            problem_count=row.problem_count,
            warning_count=len(row.warnings),
            created_at=row.created_at,
            sample=bool(row.origin) and not row.source,
        )
        for row in session.exec(query)
    ]


def list_samples() -> list[Sample]:
    """The built-in samples, each with one sentence."""
    return list(SAMPLES.values())


def dataset_view(session: Session, actor: Actor, dataset_id: int) -> DatasetView:
    """The whole page; raises NotFound."""
    row: Dataset = find(session, actor, Dataset, dataset_id)
    splits = splits_of(session, actor, dataset_id)
    items = _shown(session, row, splits[0], range(min(row.items, ITEMS_SHOWN)), True) if splits else []
    return DatasetView(
        id=dataset_id,
        name=row.name,
        file_name=row.file_name,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        state=row.state,
        progress=row.progress,
        active=row.state in (DatasetState.QUEUED, DatasetState.CHECKING),
        format=row.format,
        format_title=TITLES.get(row.format, ""),
        mapping=row.mapping,
        can_map=can_map(row),
        columns=row.facts.get("columns", []),
        task=row.task,
        task_detected=row.task_detected,
        task_title=TASKS.get(row.task, ""),
        tasks=TASKS,
        labels=row.labels,
        label_counts=row.facts.get("labels", {}),
        items=row.items,
        facts=row.facts,
        metadata_keys=row.facts.get("metadata_keys", []),
        problems=row.problems,
        problem_count=row.problem_count,
        warnings=row.warnings,
        splits=[_split_view(row, split, position == 0) for position, split in enumerate(splits)],
        sample_items=items,
        origin=row.origin,
        created_at=row.created_at,
        lost=trouble(row) if row.state == DatasetState.READY and not settings().s3_bucket else "",
    )


def _split_view(row: Dataset, split: Split, default: bool) -> SplitView:
    return SplitView(
        id=split.id or 0,
        name=split.name,
        kind=split.kind,
        parameters=split.parameters,
        sha256=split.sha256,
        counts=split.counts,
        labels=split.facts.get("labels", {}),
        leaks=split.facts.get("leaks", {}),
        rejected=split.facts.get("rejected", {}),
        ceiling=ceiling_sentence(ceiling_of(row, split)),
        groups=split.groups,
        remarks=split.remarks,
        default=default,
        created_at=split.created_at,
    )


def splits_of(session: Session, actor: Actor, dataset_id: int) -> list[Split]:
    """The dataset's splits in the order of making: the first is the default. The big columns load when used.

    Those that a design made (folds, sizes) are not among them: nobody chooses one.
    """
    find(session, actor, Dataset, dataset_id)
    return list(
        session.exec(
            owned(actor, Split)
            .where(Split.dataset_id == dataset_id, col(Split.kind).not_in(DESIGN_KINDS))
            .order_by(col(Split.id))
            .options(defer(Split.parts), defer(Split.group_of))  # type: ignore[arg-type]
        )
    )


def find_split(session: Session, actor: Actor, dataset_id: int, split: int | str | None = None) -> Split:
    """A split by id or name, the default one for None; raises NotFound, or Invalid while there is none."""
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    splits = splits_of(session, actor, dataset_id)
    if not splits:
        raise Invalid(
            f"The dataset is {dataset.state}, so it has no split.",
            "Wait for its check to end, or upload again.",
        )
    if split is None or split == "":
        return splits[0]
    wanted = str(split)
    for found in splits:
        if wanted in (str(found.id), found.name):
            return found
    names = ", ".join(f"{found.name!r} ({found.id})" for found in splits)
    raise NotFound(f"Dataset {dataset_id} has no split {wanted[:100]!r}.", f"Its splits are {names}.")


def items_page(
    session: Session,
    actor: Actor,
    dataset_id: int,
    *,
    split: int | str | None = None,
    part: str = "",
    after: int = -1,
    limit: int = PAGE,
    shown: bool = False,
) -> ItemsPage:
    """Items behind the number `after`, all or those of one part of a split. Raises FileLost, or gives notes in place of
    lost texts where they are `shown` to people."""
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    chosen = find_split(session, actor, dataset_id, split)
    if part and part not in PART_NAMES:
        raise Invalid(f"There is no part {part[:50]!r}.", f"Choose one of {', '.join(PART_NAMES)}.")
    first, limit = max(after + 1, 0), min(max(limit, 1), 500)
    code = PART_NAMES.index(part) if part else -1
    numbers = [n for n in range(first, dataset.items) if not part or chosen.parts[n] == code][: limit + 1]
    more = numbers[limit - 1] if len(numbers) > limit else None
    total = chosen.counts.get(part, 0) if part else dataset.items
    return ItemsPage(_shown(session, dataset, chosen, numbers[:limit], shown), more, total, part, chosen)


def _shown(
    session: Session, dataset: Dataset, split: Split, numbers: Sequence[int], shown: bool
) -> list[ShownItem]:
    found = items_by_number(session, dataset, split, numbers, shown=shown)
    return [ShownItem(item, PART_NAMES[split.parts[item.number]]) for item in found.values()]
