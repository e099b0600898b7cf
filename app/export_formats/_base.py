"""The contract of an export format: how a table of rows is written to a file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

TEXT, WHOLE, REAL, FLAG = "text", "whole", "real", "flag"


@dataclass(frozen=True)
class Column:
    """One column; `type` is TEXT (str), WHOLE (int), REAL (float) or FLAG (bool). Any cell may be None."""

    name: str
    type: str = TEXT


@dataclass(frozen=True)
class Rows:
    """A table; `lines` is read once, so it may come from the database as it is written. Names are unique."""

    columns: tuple[Column, ...]
    lines: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class ExportFormat:
    """One format. `write(rows, file)` holds a bounded number of lines in memory; the same rows give the
    same bytes. `order` is the place in a menu, small numbers first."""

    name: str
    label: str
    note: str
    extension: str
    media_type: str
    write: Callable[[Rows, BinaryIO], None]
    order: int = 50
