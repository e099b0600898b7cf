"""Reads items back from a dataset's stored file by their place in it. Used by every noun that needs texts."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlmodel import Session, col, select

from app.datasets.flaws import Flaw
from app.datasets.index import content_key
from app.datasets.items import PART_NAMES, Message, answer_text, as_dicts, input_text
from app.datasets.lost import MEND, FileLost, lost, refuse_lost, trouble
from app.datasets.rows import FORMATS, Tools, settle, settle_rejected
from app.errors import TunebookError, Unavailable
from app.storage import dataset_file, dataset_rows
from app.tables import Dataset, Item, Split
from app.tables.item import item_id

# Items asked of the database at once: SQLite takes at most 32,766 parameters.
BATCH = 500
# Where an item lies, what it is known by, and its answer where it is short.
PLACE: Any = (
    Item.number, Item.line, Item.offset, Item.length, Item.content_key, Item.occurrence, Item.label,
)  # fmt: skip


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
    """Reads single rows of an open dataset file by their place. With `shown`, the error for a file that is lost, rows
    that cannot be read are a note for people; else they raise it."""

    def __init__(self, dataset: Dataset, descriptor: int, error: TunebookError | None, shown: bool) -> None:
        self.dataset, self.descriptor, self.error, self.shown = dataset, descriptor, error, shown
        self.kind = FORMATS[dataset.row_format]
        self.decoder = msgspec.json.Decoder(self.kind.row)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file as they are; fewer at its end. Raises the error of a file that is not there."""
        if self.error:
            raise self.error
        return os.pread(self.descriptor, length, offset)

    def chat(
        self, offset: int, length: int, key: int | None = None, label: str | None = None
    ) -> tuple[list[Message], Tools]:
        """The row's chat, as it was when it was checked."""
        return self.whole(offset, length, key, label)[:2]

    def whole(
        self, offset: int, length: int, key: int | None = None, label: str | None = None
    ) -> tuple[list[Message], Tools, Message | None]:
        """The row's chat, its tools and its rejected answer, as they were when it was checked: `key` is the prompt's
        in the index. `label`, the answer where the index has it, stands in a note in place of a lost row."""
        try:
            return self._whole(offset, length, key, label)
        except TunebookError as error:
            if not self.shown:
                raise
            note = lost_note(self.dataset, error)
            return [Message("user", note), Message("assistant", note if label is None else label)], None, None

    def _whole(
        self, offset: int, length: int, key: int | None, label: str | None
    ) -> tuple[list[Message], Tools, Message | None]:
        raw = self.read(offset, length)
        try:
            row = self.decoder.decode(raw)
            chat, rejected = self.kind.chats([row])[0], self.kind.rejected([row])[0]
            settle(chat, self.kind.names)
            if rejected:
                settle_rejected(rejected, self.kind.names)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Flaw):
            raise self._changed(offset + len(raw)) from None
        same = key is None or content_key(chat, row.tools) == key
        if not same or (label is not None and answer_text(chat[-1]) != label):
            # Certain only when all bytes say so; of a table's JSON Lines form no hash is kept.
            refuse_lost(self.dataset)
        return chat, row.tools, rejected

    def _changed(self, end: int) -> FileLost:
        return lost(
            self.dataset, trouble(self.dataset) or f"holds other bytes than were checked, before byte {end:,}"
        )

    def keys(self, offset: int, length: int) -> dict[str, Any]:
        """The row's keys that are no part of its chat."""
        try:
            row = msgspec.json.decode(self.read(offset, length))
        except msgspec.MsgspecError:
            raise self._changed(offset + length) from None
        return {key: value for key, value in row.items() if key not in self.kind.read}


def lost_note(dataset: Dataset, error: TunebookError) -> str:
    """What people read in place of a text that is lost, or that cannot be had now."""
    if not isinstance(error, FileLost):
        return f"[{error.message} {error.hint}]"
    return f"[The file of this dataset is missing or damaged. {MEND} (SHA-256 {dataset.sha256}).]"


@contextmanager
def open_rows(dataset: Dataset, shown: bool = False) -> Iterator[RowReader]:
    """Opens the dataset's rows. Raises FileLost when the file is gone or has another size, Unavailable when the bucket
    does not give it; `shown`: for people, who read a note in place of texts that are lost."""
    file, error = None, cast("TunebookError | None", None)
    try:
        file = rows_file(dataset).open("rb")
        if how := trouble(dataset):
            error = lost(dataset, how)
    except FileNotFoundError:
        error = lost(dataset, trouble(dataset) or "is missing")
    except OSError as failed:
        error = lost(dataset, f"cannot be read: {failed.strerror}")
    except Unavailable as failed:
        error = failed
    with file or nullcontext():
        if error and not shown:
            raise error
        yield RowReader(dataset, file.fileno() if file else -1, error, shown)


def items_by_number(
    session: Session, dataset: Dataset, split: Split | None, numbers: Iterable[int], shown: bool = False
) -> dict[int, StoredItem]:
    """The items with these numbers, in their order; numbers that are not there are left out. `shown` as in open_rows."""
    wanted = list(numbers)
    with open_rows(dataset, shown) as rows:
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
    query = select(*PLACE).where(Item.dataset_id == dataset.id, col(Item.number).in_(numbers))
    # The driver's own rows: twice as fast as SQLAlchemy's, and all values are plain.
    cursor: Any = session.connection().execute(query).cursor
    found = {}
    for number, line, offset, length, key, occurrence, label in cursor.fetchall():
        chat, _ = rows.chat(offset, length, key, label)
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
        select(*PLACE)
        .where(Item.dataset_id == dataset.id, col(Item.number).in_(numbers))
        .order_by(col(Item.number))
    )
    for number, line, offset, length, key, occurrence, label in found:
        chat, tools, rejected = rows.whole(offset, length, key, label)
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
