"""CSV whose cells no spreadsheet runs as a formula."""

from typing import BinaryIO

from app.cells import guarded
from app.export_formats._base import ExportFormat, Rows
from app.export_formats._csv import write_csv


def write(rows: Rows, file: BinaryIO) -> None:
    """A text that begins like a formula gets an apostrophe before it."""
    write_csv(rows, file, guarded)


FORMAT = ExportFormat(
    name="csv",
    label="CSV",
    note="safe in spreadsheets",
    extension="csv",
    media_type="text/csv; charset=utf-8",
    write=write,
    order=10,
)
