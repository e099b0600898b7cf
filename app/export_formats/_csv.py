"""RFC 4180 CSV in UTF-8. Used by the two CSV formats."""

import csv
import io
from collections.abc import Callable
from typing import Any, BinaryIO

from app.export_formats._base import FLAG, REAL, TEXT, Rows

Spell = Callable[[Any], Any]


def write_csv(rows: Rows, file: BinaryIO, text: Spell) -> None:
    """Writes the table; `text` spells text cells and names. None is an empty cell, numbers are written in full
    (what is read back is the same number), flags are true and false."""
    spell: dict[str, Spell] = {TEXT: text, REAL: _real, FLAG: _flag}
    spelled = [
        (place, spell[column.type]) for place, column in enumerate(rows.columns) if column.type in spell
    ]
    target = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(target)
        writer.writerow([text(column.name) for column in rows.columns])
        for line in rows.lines:
            cells = list(line)
            for place, spelling in spelled:
                cells[place] = spelling(cells[place])
            writer.writerow(cells)
    finally:
        target.detach()


def _real(value: float | None) -> str:
    return "" if value is None else repr(value)


def _flag(value: bool | None) -> str:
    return "" if value is None else "true" if value else "false"
