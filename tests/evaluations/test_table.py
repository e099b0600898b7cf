"""The predictions CSV: its columns, and cells that no spreadsheet runs."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cells import DANGEROUS, csv_text, guarded, is_number, unguarded
from app.evaluations.table import PredictionRow, cells, header


def row(**changes) -> PredictionRow:
    """One prediction."""
    values = {
        "item": "0a1b2c3d4e5f", "number": 4, "line": 5, "part": "test", "group": None, "input": "How much?",
        "expected": "VL", "answer": "VL ", "answer_read": "VL", "correct": True, "probabilities": [0.75, 0.25],
        "logprob": -0.287682072, "latency_ms": 12.5, "tokens": 3, "error": None,
    }  # fmt: skip
    return PredictionRow(**{**values, **changes})


def parsed(names, lines) -> list[list[str]]:
    """What a CSV reader makes of it."""
    return list(csv.reader(io.StringIO(b"".join(csv_text(names, lines)).decode(), newline="")))


def test_the_names_of_the_columns_are_kept() -> None:
    assert header(["VL", "L"]) == [
        "item", "line", "split", "group", "input", "expected", "answer", "answer_read", "correct",
        "p(VL)", "p(L)", "logprob", "latency_ms", "tokens", "error",
    ]  # fmt: skip
    assert len(header([])) == 13


def test_a_line_stands_under_its_names() -> None:
    names, line = parsed(header(["VL", "L"]), [cells(row(), 2)])
    assert dict(zip(names, line, strict=True)) == {
        "item": "0a1b2c3d4e5f", "line": "5", "split": "test", "group": "", "input": "How much?", "expected": "VL",
        "answer": "VL ", "answer_read": "VL", "correct": "true", "p(VL)": "0.75", "p(L)": "0.25",
        "logprob": "-0.287682", "latency_ms": "12.5", "tokens": "3", "error": "",
    }  # fmt: skip


def test_what_is_not_there_is_an_empty_cell() -> None:
    bare = row(answer=None, answer_read=None, probabilities=None, logprob=None, latency_ms=None, tokens=None)
    line = cells(bare, 2)
    assert len(line) == len(header(["VL", "L"]))
    assert line[6:] == ["", "", "true", "", "", "", "", "", ""]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1+1", "＋1", "－1", "＠x", "-inf", "+nan",
     "-", "=", "-1_000", "- 5", "'=1"],
)  # fmt: skip
def test_a_formula_is_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert cells(row(answer=text, input=text, group=text, error=text), 2).count(f"'{text}") == 4
    assert cells(row(answer=text), 2, raw=True)[6] == text


@pytest.mark.parametrize(
    "text", ["-3", "+3.5", "-1e-4", "-.5", "12", "VL", "a=b", "it's", "'quoted'", "−5", ""]
)
def test_numbers_and_plain_text_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text


@given(st.one_of(st.text(), st.text(alphabet="'=+-@1\t")))
def test_a_guarded_cell_is_safe_and_can_be_undone(text: str) -> None:
    cell = guarded(text)
    assert not cell.startswith(DANGEROUS) or is_number(cell)
    assert unguarded(cell) == text


def test_cells_with_commas_quotes_and_line_breaks_survive() -> None:
    text = 'a "b", c;\r\nd\n\ue000'
    assert parsed(header([]), [cells(row(answer=text, probabilities=None), 0)])[1][6] == text


def test_a_long_table_comes_in_pieces() -> None:
    pieces = list(csv_text(["a"], (["x" * 1000] for _ in range(200))))
    assert len(pieces) > 2
    assert len(b"".join(pieces).splitlines()) == 201
