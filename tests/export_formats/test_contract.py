"""What every export format promises: each cell comes back, hostile ones too; rows are streamed; same bytes."""

import csv
import io
import json
import math
import tracemalloc
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cells import DANGEROUS, is_number, unguarded
from app.export_formats import FLAG, REAL, TEXT, WHOLE, Column, ExportFormat, Rows, formats

COLUMNS = (Column("=name", TEXT), Column("n", WHOLE), Column('p(ä|ö, "ü")', REAL), Column("right", FLAG))
HOSTILE = [
    "=1+1", "'=1", "-", "−5", "@x", "＝1", "a,b", 'say "x"', "two\nlines", "cr\rlf\r\n", "\ttab", "\0",
    "\ufeffbom", "\u202eltr", " blanks ", "𝔘", "\u2028", "NULL", "true", "1e5", "0012", "", "💥",
]  # fmt: skip
LINES = [[text, place, place / 7, place % 2 == 0] for place, text in enumerate(HOSTILE)] + [[None] * 4]
ALL = sorted(formats())


def written(kind: ExportFormat, lines: Any) -> bytes:
    """The file that the format makes of the lines."""
    file = io.BytesIO()
    kind.write(Rows(COLUMNS, lines), file)
    return file.getvalue()


def read(kind: ExportFormat, data: bytes) -> list[list[Any]]:
    """The names and the lines, as independent readers see them."""
    if kind.name == "parquet":
        table = pq.read_table(io.BytesIO(data))
        return [table.column_names, *(list(row.values()) for row in table.to_pylist())]
    if kind.name == "jsonl":
        rows = [json.loads(line) for line in data.decode().split("\n") if line]
        return [list(rows[0]) if rows else [], *(list(row.values()) for row in rows)]
    free = unguarded if kind.name == "csv" else str
    names, *lines = csv.reader(io.StringIO(data.decode(), newline=""))
    reals = {"": None}
    return [
        [free(name) for name in names],
        *(
            [
                free(text) or None,
                reals.get(n, n and int(n)),
                reals.get(p, p and float(p)),
                {"": None, "true": True, "false": False}[flag],
            ]
            for text, n, p, flag in lines
        ),
    ]


@pytest.mark.parametrize("name", ALL)
def test_every_cell_comes_back(name: str) -> None:
    kind = formats()[name]
    names, *lines = read(kind, written(kind, LINES))
    assert names == [column.name for column in COLUMNS]
    empty = None if name.startswith("csv") else ""
    expected = [[empty if cell == "" else cell for cell in line] for line in LINES]
    assert lines == expected


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet=st.characters(codec="utf-8"), min_size=1),
    real=st.floats(allow_nan=False, allow_infinity=False),
    whole=st.integers(-(2**53), 2**53),
)
def test_any_text_and_any_number_come_back(name: str, text: str, real: float, whole: int) -> None:
    kind = formats()[name]
    assert read(kind, written(kind, [[text, whole, real, True]]))[1] == [text, whole, real, True]


@pytest.mark.parametrize("name", ALL)
def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    kind = formats()[name]
    assert written(kind, LINES) == written(kind, [list(line) for line in LINES])


@pytest.mark.parametrize("name", ALL)
def test_a_table_without_rows_is_a_file_all_the_same(name: str) -> None:
    kind = formats()[name]
    assert read(kind, written(kind, []))[1:] == []


@pytest.mark.parametrize("name", ALL)
def test_rows_are_written_as_they_come(name: str) -> None:
    """A table of 40 MB is written while little of it is in memory."""

    class Sink(io.RawIOBase):
        size = 0

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.size += len(data)
            return len(data)

    def lines() -> Iterator[list[Any]]:
        for place in range(40_000):
            yield [f"{place} " + "x" * 1_000, place, 0.5, False]

    sink = Sink()
    file: BinaryIO = io.BufferedWriter(sink)  # type: ignore[assignment]
    tracemalloc.start()
    formats()[name].write(Rows(COLUMNS, lines()), file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    file.flush()
    assert sink.size > 100_000
    assert peak < 20_000_000


def test_the_guarded_csv_holds_no_formula() -> None:
    data = written(formats()["csv"], LINES).decode()
    for line in csv.reader(io.StringIO(data, newline="")):
        assert not line[0].startswith(DANGEROUS) or is_number(line[0])
    assert "\r\n=1+1," in "\r\n" + written(formats()["csv-raw"], LINES).decode()


def test_a_number_that_json_cannot_say_is_null() -> None:
    kind = formats()["jsonl"]
    assert read(kind, written(kind, [["a", 1, math.nan, None]]))[1] == ["a", 1, None, None]


def test_formats_say_what_they_are() -> None:
    kinds = list(formats().values())
    assert [kind.name for kind in kinds] == ["csv", "csv-raw", "jsonl", "parquet"]
    assert all(kind.label and kind.note and kind.media_type and kind.extension.isalnum() for kind in kinds)
