"""Reads a CSV file row by row in flat memory: delimiter, byte order mark, quotes, odd bytes. Called by convert.py."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from app.datasets.flaws import Flaw
from app.datasets.lines import BOM, LINE_CAP

DELIMITERS = ",;\t|"
SNIFFED_BYTES, SNIFFED_ROWS = 64 * 1024, 20
csv.field_size_limit(LINE_CAP)

Row = tuple[int, dict[str, Any] | Flaw | None]


def open_csv(path: Path) -> tuple[list[str], Iterator[Row]]:
    """(the columns, the rows). Lines count records, the header being 1. Raises Flaw for a bad header."""
    with path.open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    delimiter = find_delimiter(head.removeprefix(BOM).decode(errors="replace"))
    rows = _records(path, delimiter)
    first = next(rows, (1, None))[1]
    if isinstance(first, Flaw):
        raise first
    if not first:
        raise Flaw(
            "bad-header", "line 1", "The first line is empty.", "Write the names of the columns there."
        )
    columns = [name.strip() or f"column {place}" for place, name in enumerate(first, 1)]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise Flaw("bad-header", "line 1", f"Two columns are named {twice!r}.", "Give each column a name of its own.")  # fmt: skip
    return columns, _by_column(columns, rows)


def find_delimiter(head: str) -> str:
    """The delimiter that cuts the first rows into most columns, all of them alike; a comma where none does."""
    best, width = ",", 1
    lines = head.splitlines(keepends=True)
    for delimiter in DELIMITERS:
        widths = []
        try:
            for record, _ in zip(csv.reader(lines, delimiter=delimiter), range(SNIFFED_ROWS), strict=False):
                widths.append(len(record))
        except csv.Error:
            continue
        # The last record read may be cut off by the end of the head.
        widths = [found for found in (widths[:-1] or widths) if found]
        alike = widths.count(widths[0]) >= 0.8 * len(widths) if widths else False
        if alike and widths[0] > width:
            best, width = delimiter, widths[0]
    return best


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | Flaw]]:
    odd: list[Flaw] = []
    with path.open("rb") as file:
        reader = csv.reader(_lines(file, odd), delimiter=delimiter, strict=True)
        line = 0
        while True:
            line += 1
            try:
                record: list[str] | Flaw = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                record = _explain(error)
            if odd:
                record = odd[0]
                odd.clear()
            yield line, record


def _lines(file: BinaryIO, odd: list[Flaw]) -> Iterator[str]:
    """The lines as text; what is wrong with their bytes is put into `odd`."""
    cap = LINE_CAP
    first = True
    while line := file.readline(cap + 1):
        if first:
            line, first = line.removeprefix(BOM), False
        if len(line) > cap and not line.endswith(b"\n"):
            odd.append(_over_long())
            while line and not line.endswith(b"\n"):
                line = file.readline(cap)
            line = b"\n"
        if 0 in line:
            odd.append(Flaw("nul", "", "The row holds a NUL byte.", "Remove the NUL bytes."))
            line = line.replace(b"\x00", b"")
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            odd.append(
                Flaw(
                    "utf-8",
                    f"byte {error.start + 1}",
                    f"Byte {error.start + 1} of the line (0x{line[error.start]:02X}) is not valid UTF-8.",
                    "Save the file as CSV UTF-8. It may be in Latin-1 or Windows-1252 now.",
                )
            )
            yield line.decode(errors="replace")


def _by_column(columns: list[str], rows: Iterator[tuple[int, list[str] | Flaw]]) -> Iterator[Row]:
    for line, record in rows:
        if isinstance(record, Flaw):
            yield line, record
        elif not any(cell.strip() for cell in record):
            yield line, None
        elif len(record) < len(columns) or any(record[len(columns) :]):
            message = f"The row has {len(record)} fields, the header has {len(columns)}."
            hint = "Put text that holds the delimiter or a line break in double quotes."
            yield line, Flaw("bad-csv", "", message, hint)
        else:
            yield line, dict(zip(columns, record, strict=False))


def _explain(error: csv.Error) -> Flaw:
    said = str(error)
    if "unexpected end" in said or "field larger" in said:
        return Flaw(
            "bad-csv", "", "A double quote opens a field and never closes it.",
            'Close the quote; a quote inside quoted text is written twice: "".',
        )  # fmt: skip
    if "new-line character" in said:
        return Flaw("bad-csv", "", "Lines end with CR alone.", "Save the file with LF or CR LF line ends.")
    return Flaw(
        "bad-csv", "", f"The row cannot be read: {said}.",
        'A quote inside quoted text is written twice: "".',
    )  # fmt: skip


def _over_long() -> Flaw:
    return Flaw(
        "line-too-long", "", f"The line is longer than {LINE_CAP / 2**20:,.0f} MiB.",
        "Each row ends with a newline; perhaps the newlines were lost.",
    )  # fmt: skip
