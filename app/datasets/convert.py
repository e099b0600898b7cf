"""Writes the JSON Lines form of a CSV or Parquet file: one line for each row, so that an item's line is its row.

Called by check_file.py; the original is kept as it is for download.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.datasets.check import Report
from app.datasets.columns import map_columns
from app.datasets.csv_file import open_csv
from app.datasets.flaws import Flaw
from app.datasets.formats import format_of_keys
from app.datasets.parquet_file import open_parquet
from app.tables import Dataset

# A compressed Parquet file can hold far more than its size.
MOST_BYTES = 8 * 1024**3
NATIVE_IN_CSV = ("alpaca",)

# A row's line (its number, the header of a CSV counted), and its values by column: None for a blank row.
Row = tuple[int, dict[str, Any] | Flaw | None]


def convert_table(dataset: Dataset, path: Path, target: Path, report: Report) -> None:
    """Writes the rows of `path` to `target`; sets the dataset's row format, mapping and columns.

    Bad rows go to the report. Raises Flaw when the file cannot be read at all, or not be mapped.
    """
    columns, rows = open_csv(path) if dataset.format == "csv" else open_parquet(path)
    dataset.facts = {"columns": columns}
    kind = None if dataset.mapping else format_of_keys(set(columns))
    if kind is not None and (dataset.format == "parquet" or kind.name in NATIVE_IN_CSV):
        dataset.row_format, mapping = kind.name, {}
    else:
        dataset.row_format, mapping = "openai-chat", map_columns(columns, dataset.mapping)
    dataset.mapping = dict(mapping)
    _write(rows, mapping, target, report)


def _write(rows: Iterator[Row], mapping: dict[str, str], target: Path, report: Report) -> None:
    encoder = msgspec.json.Encoder(enc_hook=str)
    with target.open("wb") as file:
        for line, row in rows:
            try:
                if isinstance(row, Flaw):
                    raise row
                if row is not None:
                    file.write(encoder.encode(_chat_row(row, mapping) if mapping else _as_it_is(row)))
            except Flaw as flaw:
                report.add(line, flaw)
            except (ValueError, RecursionError) as error:
                hint = "Write it as text."
                report.add(line, Flaw("bad-value", "", f"A value cannot be written as JSON: {error}.", hint))
            file.write(b"\n")
            if file.tell() > MOST_BYTES:
                raise Flaw("too-large", "", "The rows are more than 8 GiB of text.", "Upload a part of them.")


def _as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns are those of a JSON Lines format."""
    return {key: value for key, value in row.items() if value is not None}


def _chat_row(row: dict[str, Any], mapping: dict[str, str]) -> dict[str, Any]:
    """A row as chat: the mapped columns as messages, the others as metadata."""
    prompt = _text(row, mapping["prompt"])
    if not prompt.strip():
        raise Flaw(
            "empty-content",
            mapping["prompt"],
            "The prompt is empty.",
            "Write its text there, or remove the row.",
        )
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": _text(row, mapping["answer"])},
    ]
    if "system" in mapping and (instruction := _text(row, mapping["system"])):
        messages.insert(0, {"role": "system", "content": instruction})
    made: dict[str, Any] = {"messages": messages}
    if "rejected" in mapping and (unwanted := _text(row, mapping["rejected"])):
        made["rejected_message"] = {"role": "assistant", "content": unwanted}
    if "split" in mapping and (part := _text(row, mapping["split"]).strip()):
        made["split"] = part
    used = set(mapping.values())
    others = {key: value for key, value in row.items() if key not in used and value not in (None, "")}
    return made | ({"metadata": others} if others else {})


def _text(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Flaw(
                "utf-8", column, "The value is bytes that are not UTF-8.", "Store it as text."
            ) from None
    return msgspec.json.encode(value, enc_hook=str).decode().strip('"')
