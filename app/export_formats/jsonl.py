"""JSON Lines: one object per row, null where there is nothing."""

from typing import BinaryIO

import msgspec

from app.export_formats._base import ExportFormat, Rows


def write(rows: Rows, file: BinaryIO) -> None:
    """Keys stand in the order of the columns; a number that JSON cannot say (infinity, NaN) is null."""
    names = [column.name for column in rows.columns]
    encode = msgspec.json.Encoder().encode
    for line in rows.lines:
        file.write(encode(dict(zip(names, line, strict=True))) + b"\n")


FORMAT = ExportFormat(
    name="jsonl",
    label="JSON Lines",
    note="one object per row",
    extension="jsonl",
    media_type="application/x-ndjson",
    write=write,
    order=30,
)
