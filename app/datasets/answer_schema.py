"""The JSON schema of a dataset's answers, where every row names the same one as its response_format. Used by
experiments/facts.py."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from app.datasets.stored import rows_file
from app.tables import Dataset


class _Row(msgspec.Struct):
    response_format: dict[str, Any] | None = None


def answer_schema(dataset: Dataset) -> str:
    """The schema as JSON text, "" where rows have none or not the same."""
    path = rows_file(dataset)
    return _common(path) if path.is_file() else ""


@lru_cache(maxsize=256)
def _common(path: Path) -> str:
    """Datasets never change; without a schema the first row is all that is read."""
    decoder, common = msgspec.json.Decoder(_Row), None
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                found = schema_of(decoder.decode(line).response_format)
            except msgspec.DecodeError:
                return ""
            if found is None or (common is not None and found != common):
                return ""
            common = found
    return json.dumps(common, ensure_ascii=False) if common else ""


def schema_of(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema in a response_format of OpenAI's form ({"type": "json_schema", "json_schema": {"schema": {...}}}) or of
    Together's ({"type": "json_object", "schema": {...}}); None where there is none."""
    given = response_format or {}
    named = given.get("json_schema")
    found = named.get("schema") if isinstance(named, dict) else given.get("schema")
    return found if isinstance(found, dict) else None
