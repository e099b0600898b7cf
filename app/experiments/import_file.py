"""Reads a file of predictions made elsewhere: CSV, JSON or JSON Lines. Pure.

Columns are known by several names; class probabilities come as columns `p(<class>)` or as one object.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import Invalid

ANSWER = ("answer", "prediction", "predicted", "output", "completion", "response", "answer_read")
EXPECTED = ("expected", "gold", "label", "target", "reference", "true", "truth")
INPUT = ("input", "prompt", "question", "text")
ITEM = ("item", "item_id", "id")
LINE = ("line", "line_number")
PROBABILITIES = ("probabilities", "p", "probs")
P_COLUMN = re.compile(r"^'?p\((.+)\)$", re.DOTALL)
MAX_ROWS = 2_000_000
MAX_BYTES = 1024**3


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
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise Invalid(
            f"The file is not valid JSON: {error}.", "Export it again, or give JSON Lines."
        ) from error
    return [(f"row {number}", _object(row, f"row {number}")) for number, row in enumerate(rows, 1)]


def _json_lines(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append((f"line {number}", _object(json.loads(line), f"line {number}")))
            except ValueError as error:
                raise Invalid(
                    f"Line {number} is not valid JSON: {error}.", "Write one object per line."
                ) from error
    return rows


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"The {where} is not an object.", 'Write each row as {"item": ..., "answer": ...}.')
    return value


def _csv(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), dialect=_dialect(text))
        return [(f"line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise Invalid(f"The CSV cannot be read: {error}.", "Export it again with a header line.") from error


def _dialect(text: str) -> type[csv.Dialect]:
    class Found(csv.excel):
        delimiter = max(",;\t", key=text.partition("\n")[0].count)

    return Found


def _row(where: str, fields: Mapping[str, Any]) -> ImportedRow:
    by_name = {str(name).strip().lower(): value for name, value in fields.items() if name is not None}
    if not any(name in by_name for name in ANSWER):
        raise Invalid(
            f"The {where} has no answer: its columns are {', '.join(by_name) or 'none'}.",
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
    if isinstance(value, str):
        # Our own CSV guards formulas with an apostrophe.
        return value[1:] if len(value) > 1 and value[0] == "'" and value[1] in "=+-@" else value
    return json.dumps(value, ensure_ascii=False)


def _optional(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


def _whole(value: Any, where: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Invalid(
            f"The {where} says line {value!r}, which is no whole number.", "Give the line of the data file."
        ) from None


def _real(value: Any, where: str, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Invalid(
            f"The {where} says {name} {value!r}, which is no number.", "Mend it or leave it empty."
        ) from None


def _probabilities(
    fields: Mapping[str, Any], by_name: Mapping[str, Any], where: str
) -> dict[str, float] | None:
    whole = _first(by_name, PROBABILITIES)
    pairs = whole.items() if isinstance(whole, dict) else _p_columns(fields)
    found = {str(label): _real(value, where, f"p({label})") for label, value in pairs}
    kept = {label: value for label, value in found.items() if value is not None}
    for label, value in kept.items():
        if not 0 <= value <= 1.000001:
            raise Invalid(
                f"The {where} says p({label}) = {value:g}, which is no probability.",
                "Give numbers from 0 to 1.",
            )
    return kept or None


def _p_columns(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    matches = [(P_COLUMN.match(str(name).strip()), value) for name, value in fields.items()]
    return [(match.group(1), value) for match, value in matches if match]
