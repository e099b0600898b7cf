"""Reads a file of predictions made elsewhere: CSV, JSON, JSON Lines, or the log of an evaluation harness. Pure.

Columns are known by several names; class probabilities come as columns `p(<class>)` or as one object.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.cells import unguarded
from app.errors import Invalid
from app.harnesses import harnesses

ANSWER = ("answer", "prediction", "predicted", "output", "completion", "response", "answer_read")
EXPECTED = ("expected", "gold", "label", "target", "reference", "true", "truth")
INPUT = ("input", "prompt", "question", "text")
ITEM = ("item", "item_id", "id")
LINE = ("line", "line_number")
PROBABILITIES = ("probabilities", "p", "probs")
P_COLUMN = re.compile(r"^p\((.+)\)$", re.DOTALL)
MAX_ROWS = 2_000_000
MAX_BYTES = 1024**3
# Names from the file in a message: not more than this.
SHOWN = 12

# The csv module's own bound of 128 KiB for a cell is less than a long prompt.
csv.field_size_limit(MAX_BYTES)


@dataclass(frozen=True)
class ImportedRow:
    """One prediction with whatever the file says to find its item."""

    where: str
    answer: str | None
    item: str | None = None
    line: int | None = None
    input: str | None = None
    expected: str | None = None
    probabilities: dict[str, float] | None = None
    logprob: float | None = None


def read_rows(data: bytes) -> list[ImportedRow]:
    """The rows of a file; raises Invalid with the row, what is wrong and how to mend it."""
    for harness in harnesses().values():
        logged = harness.read(data)
        if logged is not None:
            return [ImportedRow(row.where, row.answer, row.item, expected=row.expected) for row in logged]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"The file is not UTF-8 text (byte {error.start + 1}).", "Save it as CSV or JSON Lines in UTF-8."
        ) from error
    if not text.strip():
        raise Invalid("The file is empty.", "Give one row per test item, with at least a column `answer`.")
    start = text.lstrip()[0]
    rows = _json_array(text) if start == "[" else _json_lines(text) if start == "{" else _csv(text)
    found = [_row(where, fields) for where, fields in rows]
    if not found:
        raise Invalid(
            "The file holds no rows.", "Give one row per test item, with at least a column `answer`."
        )
    return found


def _json_array(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    rows = _decoded(text, "The file", "Export it again, or give JSON Lines.")
    return [(f"row {number}", _object(row, f"row {number}")) for number, row in enumerate(rows, 1)]


def _json_lines(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (
            f"line {number}",
            _object(_decoded(line, f"Line {number}", "Write one object per line."), f"line {number}"),
        )
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def _decoded(text: str, what: str, hint: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"{what} is not valid JSON: {error}.", hint) from error


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"The {where} is not an object.", 'Write each row as {"item": ..., "answer": ...}.')
    return value


def _csv(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        names = [unguarded(name) for name in next(reader)]
        repeated = next((name for name in names if name.strip() and names.count(name) > 1), None)
        if repeated is not None:
            raise Invalid(f"The CSV has two columns named {_short(repeated)}.", "Keep one of them.")
        # A quoted cell may hold line breaks: line_num is where its row ends.
        return [
            (f"line {reader.line_num}", _csv_row(names, cells, f"line {reader.line_num}"))
            for cells in reader
            if any(cells)
        ]
    except csv.Error as error:
        raise Invalid(f"The CSV cannot be read: {error}.", "Export it again with a header line.") from error


def _csv_row(names: Sequence[str], cells: Sequence[str], where: str) -> Mapping[str, Any]:
    if len(cells) > len(names):
        raise Invalid(
            f"The {where} has {len(cells)} cells, but the header has {len(names)}.",
            'Put cells with commas in quotes, for example "a, b".',
        )
    return dict(zip(names, map(unguarded, cells), strict=False))


def _delimiter(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "…")


def _row(where: str, fields: Mapping[str, Any]) -> ImportedRow:
    by_name = {name.strip().lower(): value for name, value in fields.items()}
    if not any(name in by_name for name in ANSWER):
        columns = ", ".join(map(_short, list(by_name)[:SHOWN])) + (", …" if len(by_name) > SHOWN else "")
        raise Invalid(
            f"The {where} has no answer: its columns are {columns or 'none'}.",
            f"Name the column of the model's answers `answer` (also known: {', '.join(ANSWER[1:])}).",
        )
    answer = _first(by_name, ANSWER)
    return ImportedRow(
        where,
        None if answer is None else _text(answer),
        _optional(_first(by_name, ITEM)),
        _whole(_first(by_name, LINE), where),
        _optional(_first(by_name, INPUT)),
        _optional(_first(by_name, EXPECTED)),
        _probabilities(fields, by_name, where),
        _real(by_name.get("logprob"), where, "logprob"),
    )


def _first(by_name: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((by_name[name] for name in names if name in by_name), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _optional(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


def _whole(value: Any, where: str) -> int | None:
    number = _real(value, where, "line")
    if number is None:
        return None
    if not number.is_integer():
        raise Invalid(
            f"The {where} says line {value!r}, which is no whole number.", "Give the line of the data file."
        )
    return int(number)


def _real(value: Any, where: str, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(
            f"The {where} says {name} {_short(str(value))}, which is no number.", "Mend it or leave it empty."
        )
    return number


def _probabilities(
    fields: Mapping[str, Any], by_name: Mapping[str, Any], where: str
) -> dict[str, float] | None:
    whole = _first(by_name, PROBABILITIES)
    if isinstance(whole, str) and whole.startswith("{"):
        whole = _decoded(
            whole, f"What the {where} has as probabilities", 'Write them as {"VL": 0.7, "L": 0.3}.'
        )
    pairs = whole.items() if isinstance(whole, dict) else _p_columns(fields)
    found = {label: _real(value, where, f"p({label[:60]})") for label, value in pairs}
    kept = {label: value for label, value in found.items() if value is not None}
    for label, value in kept.items():
        if not 0 <= value <= 1.000001:
            raise Invalid(
                f"The {where} says p({label[:60]}) = {value:g}, which is no probability.",
                "Give numbers from 0 to 1.",
            )
    return kept or None


def _p_columns(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    matches = [(P_COLUMN.match(name.strip()), value) for name, value in fields.items()]
    return [(match.group(1), value) for match, value in matches if match]
