"""The numbers behind a figure as CSV."""

import csv
import io
from typing import Any

from app.figures._base import Figure

# A spreadsheet takes a cell that begins like this for a formula.
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(figure: Figure) -> bytes:
    """RFC 4180, UTF-8; texts are guarded against spreadsheet formulas."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(figure.header)
    writer.writerows([_cell(value) for value in row] for row in figure.rows)
    return buffer.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(DANGEROUS):
        return f"'{value}"
    return "" if value is None else value
