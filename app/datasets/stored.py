"""Reads items back from a dataset's stored file by their place in it. Used by every noun that needs texts."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from sqlmodel import Session, col, select

from app.datasets.items import PART_NAMES, Message, answer_text, as_dicts, input_text
from app.datasets.rows import FORMATS, Tools, settle, settle_rejected
from app.errors import Unavailable
from app.storage import dataset_file, dataset_rows
from app.tables import Dataset, Item, Split
from app.tables.item import item_id

# Items asked of the database at once: SQLite takes at most 32,766 parameters.
BATCH = 500


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item with its text. `number` counts from 0, `line` from 1; `prompt` are the messages a model is
    given, `answer_message` the one it should write, `rejected_message` one it should not (None where the row has
    none); `group` is the item's group in a grouped split."""

    number: int
    line: int
    item_id: str
    group: str | None
    prompt: list[dict[str, Any]]
    answer: str
    answer_message: dict[str, Any]
    tools: list[dict[str, Any]] | None
    rejected_message: dict[str, Any] | None = None

    @property
    def input(self) -> str:
        """The prompt as people read it in a table: the user's text, without the system message."""
        return "\n\n".join(str(m.get("content") or "") for m in self.prompt if m["role"] == "user")


def rows_file(dataset: Dataset) -> Path:
    """The file that the index points into: the upload itself, or its JSON Lines form."""
    dataset_id = dataset.id or 0
    return dataset_file(dataset_id) if dataset.row_format == dataset.format else dataset_rows(dataset_id)


class RowReader:
    """Reads single rows of an open dataset file by their place."""

    def __init__(self, descriptor: int, row_format: str) -> None:
        self.descriptor, self.kind = descriptor, FORMATS[row_format]
        self.decoder = msgspec.json.Decoder(self.kind.row)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file as they are; fewer at its end."""
        return os.pread(self.descriptor, length, offset)

    def chat(self, offset: int, length: int) -> tuple[list[Message], Tools]:
        """The row's chat, as it was when it was checked."""
        return self.whole(offset, length)[:2]

    def whole(self, offset: int, length: int) -> tuple[list[Message], Tools, Message | None]:
        """The row's chat, its tools and its rejected answer, as they were when it was checked."""
        row = self.decoder.decode(os.pread(self.descriptor, length, offset))
        chat, rejected = self.kind.chats([row])[0], self.kind.rejected([row])[0]
        settle(chat, self.kind.names)
        if rejected:
            settle_rejected(rejected, self.kind.names)
        return chat, row.tools, rejected

    def keys(self, offset: int, length: int) -> dict[str, Any]:
        """The row's keys that are no part of its chat."""
        row = msgspec.json.decode(os.pread(self.descriptor, length, offset))
        return {key: value for key, value in row.items() if key not in self.kind.read}


@contextmanager
def open_rows(dataset: Dataset) -> Iterator[RowReader]:
    """Opens the dataset's rows; raises Unavailable when the file is gone from the data folder."""
    try:
        file = rows_file(dataset).open("rb")
    except FileNotFoundError:
        raise Unavailable(
            f"The file of dataset {dataset.id} is missing from the data folder.",
            "Restore the data folder from a backup, or upload the dataset again.",
        ) from None
    with file:
        yield RowReader(file.fileno(), dataset.row_format)


def items_by_number(
    session: Session, dataset: Dataset, split: Split | None, numbers: Iterable[int]
) -> dict[int, StoredItem]:
    """The items with these numbers, in their order; numbers that are not there are left out."""
    wanted = list(numbers)
    with open_rows(dataset) as rows:
        found = {
            item.number: item
            for start in range(0, len(wanted), BATCH)
            for item in _read(session, dataset, split, wanted[start : start + BATCH], rows)
        }
    return {number: found[number] for number in wanted if number in found}


def item_texts(
    session: Session, dataset: Dataset, split: Split | None, numbers: Sequence[int], rows: RowReader
) -> dict[int, tuple[str, int, str | None, str, str]]:
    """{number: (item id, line, group, input, expected answer)}; faster than whole items. At most BATCH numbers."""
    query = select(Item.number, Item.line, Item.offset, Item.length, Item.content_key, Item.occurrence).where(
        Item.dataset_id == dataset.id, col(Item.number).in_(numbers)
    )
    # The driver's own rows: twice as fast as SQLAlchemy's, and all values are plain.
    cursor: Any = session.connection().execute(query).cursor
    found = {}
    for number, line, offset, length, key, occurrence in cursor.fetchall():
        chat, _ = rows.chat(offset, length)
        texts = input_text(chat[:-1]), answer_text(chat[-1])
        found[number] = (item_id(key, occurrence), line, group_name(split, number), *texts)
    return found


def part_items(session: Session, dataset: Dataset, split: Split, part: str) -> Iterator[StoredItem]:
    """The items of one part ("train", "validation", "test", "unused") in the order of the file.

    Memory holds one batch at a time.
    """
    code = PART_NAMES.index(part)
    numbers = (number for number, own in enumerate(split.parts) if own == code)
    with open_rows(dataset) as rows:
        while batch := list(islice(numbers, BATCH)):
            yield from _read(session, dataset, split, batch, rows)


def _read(
    session: Session, dataset: Dataset, split: Split | None, numbers: Sequence[int], rows: RowReader
) -> Iterator[StoredItem]:
    found = session.exec(
        select(Item.number, Item.line, Item.offset, Item.length, Item.content_key, Item.occurrence)
        .where(Item.dataset_id == dataset.id, col(Item.number).in_(numbers))
        .order_by(col(Item.number))
    )
    for number, line, offset, length, key, occurrence in found:
        chat, tools, rejected = rows.whole(offset, length)
        yield StoredItem(
            number=number,
            line=line,
            item_id=item_id(key, occurrence),
            group=group_name(split, number),
            prompt=as_dicts(chat[:-1]),
            answer=answer_text(chat[-1]),
            answer_message=as_dicts(chat[-1:])[0],
            tools=tools,
            rejected_message=as_dicts([rejected])[0] if rejected else None,
        )


def group_name(split: Split | None, number: int) -> str | None:
    """The item's group in a grouped split; None when it has none."""
    if split is None or not split.groups:
        return None
    group = split.group_of[number]
    return split.groups[group] if group >= 0 else None
