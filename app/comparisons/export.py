"""The wide CSV: one line per item, the columns of every chosen run beside each other.

Lines are put together from pieces, as 100,000 items of several runs are millions of cells: probabilities are
the database's own JSON without its brackets, and texts that come again are quoted once.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Text, cast
from sqlmodel import Session, col, select

from app.comparisons.choice import Choice
from app.comparisons.outcomes import read_outcomes
from app.comparisons.queries import Chosen, choose
from app.datasets.items import answer_text, input_text
from app.datasets.stored import PLACE, RowReader, group_name, open_rows
from app.db import new_session
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.table import guarded
from app.lab.actor import Actor
from app.tables import Dataset, Item, Prediction, Reading, Split
from app.tables.item import item_id

BATCH = 2_000
Safe = Callable[[str | None], str]


def wide_csv(
    session: Session, actor: Actor, run_ids: list[int], raw: bool, subset: str = "all"
) -> Iterator[bytes]:
    """Raises NotFound or Invalid at once; then streams in a session of its own. Items that only some of the
    runs answered are in, with empty cells; `subset` "unseen" leaves out those that stand in train too."""
    chosen = choose(session, actor, Choice(tuple(run_ids), subset=subset))

    def pieces() -> Iterator[bytes]:
        with new_session(write=False) as own:
            yield from wide_pieces(own, chosen, _names(chosen.picked), raw, subset)

    return pieces()


def wide_pieces(
    session: Session, chosen: Chosen, names: Sequence[str], raw: bool, subset: str = "all"
) -> Iterator[bytes]:
    """The same for runs that are read already; `names` are those of the picked runs in the header."""
    safe = _plain if raw else guarded
    yield (",".join(quote(name) for name in _header(names, chosen.dataset.labels, safe)) + "\r\n").encode()
    yield from _lines(session, chosen, subset, safe)


def quote(text: str) -> str:
    """One cell as the csv module writes it (RFC 4180)."""
    if '"' in text:
        text = text.replace('"', '""')
    elif not ("," in text or "\n" in text or "\r" in text):
        return text
    return f'"{text}"'


def _plain(text: str | None) -> str:
    return text or ""


def _names(rows: list[LeaderboardRow]) -> list[str]:
    names = [row.model if row.seed is None else f"{row.model} seed {row.seed}" for row in rows]
    return [
        name if names.count(name) == 1 else f"{name} run {row.run_id}"
        for name, row in zip(names, rows, strict=True)
    ]


def _header(names: Sequence[str], labels: list[str], safe: Safe) -> list[str]:
    head = ["item", "line", "split", "group", "input", "expected"]
    for name in names:
        head += [safe(f"{name}: answer"), safe(f"{name}: answer_read"), safe(f"{name}: correct")]
        head += [safe(f"{name}: p({label})") for label in labels]
    return head


def _lines(
    session: Session,
    chosen: Chosen,
    subset: str,
    safe: Safe,
) -> Iterator[bytes]:
    rows, dataset, split = chosen.picked, chosen.dataset, chosen.split
    quoted = lru_cache(10_000)(lambda text: quote(safe(text)))
    packed = read_outcomes(session, rows, chosen.splits, subset)
    numbers = np.unique(np.concatenate([one.numbers for one in packed.values()])).tolist()
    nothing = "," * (2 + len(dataset.labels))
    with open_rows(dataset, shown=True) as reader:
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            first, last = batch[0], batch[-1]
            columns = [_column(session, row, first, last, len(dataset.labels), quoted) for row in rows]
            found = [column.get for column in columns]
            answered = frozenset(batch)
            yield "".join(
                f"{cells},{','.join([find(number, nothing) for find in found])}\r\n"
                for number, cells in _items(session, reader, dataset, split, first, last, safe)
                if number in answered
            ).encode()


def _items(
    session: Session, reader: RowReader, dataset: Dataset, split: Split, first: int, last: int, safe: Safe
) -> Iterator[tuple[int, str]]:
    """(number, the item's own cells joined by commas) of the items from `first` to `last`."""
    query = (
        select(*PLACE)
        .where(Item.dataset_id == dataset.id, col(Item.number).between(first, last))
        .order_by(col(Item.number))
    )
    cursor: Any = session.connection().execute(query).cursor
    for number, line, offset, length, key, occurrence, label in cursor.fetchall():
        chat, _ = reader.chat(offset, length, key, label)
        group = group_name(split, number) if split.groups else ""
        texts = (
            f"{quote(safe(group))},{quote(safe(input_text(chat[:-1])))},{quote(safe(answer_text(chat[-1])))}"
        )
        yield number, f"{item_id(key, occurrence)},{line},test,{texts}"


def _column(
    session: Session, row: LeaderboardRow, first: int, last: int, n_labels: int, quoted: Safe
) -> dict[int, str]:
    """{item number: one run's cells, joined by commas} of the items from `first` to `last`."""
    query = (
        select(
            col(Prediction.number),
            col(Prediction.answer),
            cast(Prediction.probabilities, Text),
            col(Reading.answer_read),
            col(Reading.correct),
        )
        .join(Reading, col(Reading.number) == Prediction.number)
        .where(
            Prediction.evaluation_id == row.evaluation_id,
            Reading.scoring_id == row.scoring_id,
            # On both sides: SQLite starts from either table, and does not carry the range over.
            col(Prediction.number).between(first, last),
            col(Reading.number).between(first, last),
        )
    )
    # The driver's own rows: twice as fast as SQLAlchemy's, and all values are plain.
    cursor: Any = session.connection().execute(query).cursor
    empty = "," * (n_labels - 1)
    end = "," if n_labels else ""
    column: dict[int, str] = {}
    answers: dict[tuple[Any, ...], str] = {}
    for number, given, text, read, right in cursor.fetchall():
        key = (given, read, right)
        cells = answers.get(key)
        if cells is None:
            cells = answers[key] = f"{quoted(given)},{quoted(read)},{'true' if right else 'false'}{end}"
        # As stored, to the last digit: "[0.25, 0.75]" becomes two cells without being read as numbers.
        column[number] = cells + (text[1:-1].replace(" ", "") if text and text != "null" else empty)
    return column
