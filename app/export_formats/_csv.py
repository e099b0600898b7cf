"""RFC 4180 CSV in UTF-8. Used by the two CSV formats."""

import csv
import io
from collections.abc import Callable
from typing import Any, BinaryIO

from app.export_formats._base import FLAG, TEXT, Rows

Spell = Callable[[Any], Any]


def write_csv(rows: Rows, file: BinaryIO, text: Spell | None) -> None:
    """Writes the table; `text` spells text cells and names (None: as they are). None is an empty cell, numbers are
    written in full (what is read back is the same number, the csv module sees to it), flags are true and false."""
    spell: dict[str, Spell] = {FLAG: _flag} | ({TEXT: text} if text else {})
    spelled = [
        (place, spell[column.type]) for place, column in enumerate(rows.columns) if column.type in spell
    ]
    target = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.writer(target)
        writer.writerow([text(column.name) if text else column.name for column in rows.columns])
        for line in rows.lines:
            cells = list(line)
            for place, spelling in spelled:
                cells[place] = spelling(cells[place])
            writer.writerow(cells)
    finally:
        target.detach()


def _flag(value: bool | None) -> str:
    return "" if value is None else "true" if value else "false"
