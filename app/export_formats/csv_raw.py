"""CSV with every text as it is: for scripts, not for spreadsheets."""

from typing import BinaryIO

from app.export_formats._base import ExportFormat, Rows
from app.export_formats._csv import write_csv


def write(rows: Rows, file: BinaryIO) -> None:
    """Texts are written untouched."""
    write_csv(rows, file, None)


FORMAT = ExportFormat(
    name="csv-raw",
    label="CSV, raw",
    note="texts untouched, for scripts",
    extension="csv",
    media_type="text/csv; charset=utf-8",
    write=write,
    order=20,
)
