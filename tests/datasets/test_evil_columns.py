"""Parquet from elsewhere: columns and values with names that want to be paths, code, formulas or log lines."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from tests.datasets.checked import send

pytestmark = [pytest.mark.laptop, pytest.mark.slow]
NAMES = (
    "../../etc/passwd", "/etc/passwd", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "a\nb", "\x1b[2J", "\x00",
    "__class__", "{{7*7}}", "'; DROP TABLE item; --", "a" * 5000, "\u202etxt", "",
)  # fmt: skip


def parquet(table: dict[str, Any]) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(table), buffer)
    return bytes(buffer.getvalue())


def test_names_of_columns_are_only_text(client: TestClient, home: Path) -> None:
    before = {path for path in home.rglob("*") if "datasets" not in path.parts}
    columns = {name: [f"{name[:20]} {n}" for n in range(6)] for name in NAMES}
    data = parquet({"prompt": [f"q{n}" for n in range(6)], "answer": ["x", "y"] * 3, **columns})
    found = send(client, data, "data.parquet")
    assert found["state"] in ("ready", "refused")
    for path in (f"/datasets/{found['id']}", f"/api/v1/datasets/{found['id']}", "/datasets"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text or path.startswith("/api")
    for path in home.rglob("*"):
        assert "passwd" not in path.name
    assert before <= set(home.rglob("*"))


def test_metadata_and_nested_values_are_not_believed(client: TestClient) -> None:
    """A schema that names a pickled pandas index, deep nesting, and a column of binary data."""
    table = pa.table({"prompt": ["a", "b"], "answer": ["c", "d"], "blob": [b"\x80\x04\x95", b"\xff"]})
    evil = {b"pandas": b'{"index_columns": ["__reduce__"], "creator": "x"}', b"ARROW:schema": b"not a schema"}
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(evil), buffer, store_schema=False)
    found = send(client, bytes(buffer.getvalue()), "data.parquet")
    assert found["state"] in ("ready", "refused"), found
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    found = send(
        client, parquet({"prompt": ["a", "b"], "answer": ["c", "d"], "deep": [deep, deep]}), "deep.parquet"
    )
    assert found["state"] in ("ready", "refused"), found
