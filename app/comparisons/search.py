"""Finds the items whose input, expected answer or given answers hold some words. Called by narrow.py.

Answers are asked of the database. Texts of items stand in the dataset's file: rows are read in the order of the
file and decoded only where their bytes can hold the words. What of the file is lost, as the page says, holds none.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from app.datasets.index_table import raw_rows
from app.datasets.items import answer_text, input_text
from app.datasets.lost import FileLost
from app.datasets.stored import RowReader, open_rows
from app.errors import Unavailable
from app.tables import Dataset, Prediction

# Bytes read at once; rows lie behind each other in the file.
WINDOW = 4_000_000
# Words of these alone stand in JSON as they are, but for \u escapes, which are looked for too.
PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")
ESCAPE = b"\\u00"


def matching_numbers(
    session: Session, dataset: Dataset, evaluation_ids: list[int], numbers: NDArray[np.int32], text: str
) -> NDArray[np.int32]:
    """The numbers of all items that hold `text`, upper and lower case alike; those among `numbers` for certain."""
    pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    answered = session.exec(
        select(Prediction.number)
        .where(
            col(Prediction.evaluation_id).in_(evaluation_ids),
            col(Prediction.answer).ilike(f"%{pattern}%", escape="\\"),
        )
        .distinct()
    )
    found = np.fromiter(answered, np.int32)
    written = np.fromiter(_in_rows(session, dataset, numbers, text), np.int32)
    return np.union1d(found, written)


def _in_rows(session: Session, dataset: Dataset, numbers: NDArray[np.int32], text: str) -> Iterator[int]:
    wanted = np.zeros(dataset.items + 1, bool)
    wanted[numbers] = True
    folded = text.casefold()
    needle = text.lower().encode() if PLAIN.fullmatch(text) else None
    with suppress(FileLost, Unavailable), open_rows(dataset) as rows:
        window, begins = b"", 0
        for number, offset, length in raw_rows(session, dataset.id or 0, 'number, "offset", length'):
            if not wanted[number]:
                continue
            if offset < begins or offset + length > begins + len(window):
                window, begins = rows.read(offset, max(WINDOW, length)).lower(), offset
            raw = window[offset - begins : offset - begins + length]
            if needle is not None and needle not in raw and ESCAPE not in raw:
                continue
            if _holds(rows, offset, length, folded):
                yield number


def _holds(rows: RowReader, offset: int, length: int, folded: str) -> bool:
    """Whether the texts that a table shows hold the words: the user's, and the expected answer."""
    chat, _ = rows.chat(offset, length)
    return any(folded in text.casefold() for text in (input_text(chat[:-1]), answer_text(chat[-1])))
