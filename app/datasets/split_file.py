"""A split as one JSON Lines file in OpenPipe's shape, each row with its part: what other tools train on."""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlmodel import Session

from app.datasets.lost import refuse_lost
from app.datasets.stored import open_rows, part_items
from app.db import session_scope
from app.errors import Invalid
from app.lab.actor import Actor, find
from app.tables import Dataset, DatasetState, Split

# OpenPipe knows TRAIN and TEST; Tunebook reads VALIDATION again as well.
PARTS = {"train": "TRAIN", "validation": "VALIDATION", "test": "TEST"}


def split_rows(session: Session, actor: Actor, dataset_id: int, split_id: int) -> tuple[str, Iterator[bytes]]:
    """(a name for the file, its lines). Items outside every part are left out. Raises NotFound, or Invalid for a
    dataset that is not ready and for another dataset's split, FileLost before the first line."""
    dataset, split = find(session, actor, Dataset, dataset_id), find(session, actor, Split, split_id)
    if dataset.state != DatasetState.READY:
        raise Invalid(f"The dataset is {dataset.state}, not ready.", "Wait for its check to end.")
    if split.dataset_id != dataset.id:
        raise Invalid("This split belongs to another dataset.", "Choose one of this dataset's splits.")
    with open_rows(dataset):
        refuse_lost(dataset)
    return f"dataset-{dataset_id}-split-{split_id}.jsonl", _lines(dataset, split)


def _lines(dataset: Dataset, split: Split) -> Iterator[bytes]:
    with session_scope(write=False) as session:
        for part, word in PARTS.items():
            for item in part_items(session, dataset, split, part):
                row: dict[str, Any] = {
                    "messages": [*item.prompt, item.answer_message],
                    "split": word,
                }
                if item.tools:
                    row["tools"] = item.tools
                if item.rejected_message:
                    row["rejected_message"] = item.rejected_message
                yield msgspec.json.encode(row) + b"\n"
