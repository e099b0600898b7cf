"""Several records as a table: in a terminal, in a notebook, as a pandas or polars frame. Used by every file here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, TypeVar, overload

from .errors import MissingLibrary, NotFound

T = TypeVar("T")
LIBRARIES = ("pandas", "polars")
# A notebook's cell or a terminal shows no more lines than this.
SHOWN = 60
CELL = 60


class Rows(Sequence[T], Generic[T]):
    """An immutable list whose items can be told as lines of a table.

    >>> models = lab.models()
    >>> len(models) > 3, models[0].id, models["baseline/nearest"].label
    (True, 'baseline/majority', 'Nearest neighbour')
    """

    def __init__(self, items: Iterable[T], columns: Sequence[str] = (), key: str = "id") -> None:
        self._items, self._key = tuple(items), key
        self._columns = tuple(columns)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: str) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows[T]": ...

    def __getitem__(self, place: Any) -> Any:
        """By place, or by name (a model's id, a metric's name)."""
        if isinstance(place, str):
            for item in self._items:
                if place in (getattr(item, self._key, None), getattr(item, "name", None)):
                    return item
            names = ", ".join(str(getattr(item, self._key, "")) for item in self._items[:12])
            raise NotFound(f"There is no {place!r} among {len(self)}.", f"There are: {names}.")
        if isinstance(place, slice):
            return Rows(self._items[place], self._columns, self._key)
        return self._items[place]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def rows(self) -> list[dict[str, Any]]:
        """Plain dictionaries, one a line."""
        return [dict(row_of(item)) for item in self._items]

    def frame(self, library: str | None = None) -> Any:
        """A pandas frame, or a polars one with library="polars"; left out: pandas where it is installed.

        >>> lab.experiments().frame("polars")["state"].to_list()
        ['done']
        """
        return frame(self.rows(), library)

    def __repr__(self) -> str:
        return text_table(self.rows(), self._columns)

    def _repr_html_(self) -> str:
        return html_table(self.rows(), self._columns)


def row_of(item: Any) -> Mapping[str, Any]:
    """An item as a line: its own row() where it has one, else its public fields."""
    if isinstance(item, Mapping):
        return item
    if hasattr(item, "row"):
        told: Mapping[str, Any] = item.row()
        return told
    return {each.name: getattr(item, each.name) for each in fields(item) if not each.name.startswith("_")}


def frame(rows: Sequence[Mapping[str, Any]], library: str | None = None) -> Any:
    """Rows as a frame of pandas or polars. Raises MissingLibrary where it is not installed."""
    name = library or next((each for each in LIBRARIES if find_spec(each)), LIBRARIES[0])
    if name not in LIBRARIES:
        raise MissingLibrary(
            f"Frames of {name!r} are not known.", 'Say library="pandas" or library="polars".'
        )
    try:
        made = import_module(name)
    except ImportError:
        raise MissingLibrary(
            f"A frame needs {name}, which is not installed in this Python.",
            f"`pip install {name}`, or take .rows(), which needs nothing.",
        ) from None
    if name == "pandas":
        return made.DataFrame(list(rows))
    return made.DataFrame(list(rows), infer_schema_length=None)


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """The rows with aligned columns.

    >>> print(text_table([{"model": "a", "n": 10}, {"model": "long name", "n": 9}]))
    model       n
    a          10
    long name   9
    """
    names, lines, more = _cells(rows, columns)
    if not rows:
        return "(none)"
    numeric = [all(_is_number(row.get(name)) for row in rows) for name in names]
    widths = [max(len(name), *(len(line[place]) for line in lines)) for place, name in enumerate(names)]

    def told(line: Sequence[str]) -> str:
        cells = zip(line, widths, numeric, strict=True)
        return "  ".join(
            f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width, right in cells
        ).rstrip()

    return "\n".join([told(names), *(told(line) for line in lines), *([more] if more else [])])


def html_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """The rows as an HTML table without style or script; everything is escaped."""
    names, lines, more = _cells(rows, columns)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    end = f"<p>{escape(more)}</p>" if more else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{end}"


def _cells(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> tuple[list[str], list[list[str]], str]:
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    lines = [[cell(row.get(name)) for name in names] for row in rows[:SHOWN]]
    more = f"... and {len(rows) - SHOWN} more; .rows() or .frame() has all." if len(rows) > SHOWN else ""
    return names, lines, more


def cell(value: Any) -> str:
    """A value as a table shows it.

    >>> cell(0.3456789), cell(None), cell(1234567), cell(2e-7)
    ('0.3457', '', '1234567', '2e-07')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if value and abs(value) < 1000 else f"{value:,.0f}"
    text = " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
