"""Files of predictions made elsewhere: what is understood, and what is refused with a sentence."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cells import csv_text
from app.errors import Invalid
from app.evaluations.table import PredictionRow, cells, header
from app.experiments.import_file import ImportedRow, read_rows


def first(text: str) -> ImportedRow:
    """The first row of a file."""
    return read_rows(text.encode())[0]


def written(rows: list[dict]) -> str:
    """Rows as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


ROW = {
    "item": "0a1b2c3d4e5f",
    "line": 7,
    "input": "How much?",
    "expected": "VL",
    "answer": "L",
    "logprob": -0.5,
}


@pytest.mark.parametrize(
    "text",
    [
        written([ROW]),
        written([ROW]).replace(",", ";"),
        written([ROW]).replace(",", "\t"),
        "\ufeff" + written([ROW]),
        json.dumps(ROW),
        json.dumps([ROW]),
        "\n" + json.dumps(ROW) + "\r\n\n",
    ],
)
def test_every_format_gives_the_same_row(text: str) -> None:
    row = first(text)
    assert (row.item, row.line, row.input) == ("0a1b2c3d4e5f", 7, "How much?")
    assert (row.expected, row.answer, row.logprob, row.probabilities) == ("VL", "L", -0.5, None)


@pytest.mark.parametrize("name", ["answer", "Prediction", " output ", "completion", "RESPONSE"])
def test_columns_are_known_by_several_names(name: str) -> None:
    assert first(f"{name},gold\nVL,L\n") == ImportedRow("line 2", "VL", expected="L")


def test_probabilities_as_columns_or_as_an_object() -> None:
    wanted = {"VL": 0.7, "L": 0.3}
    assert first("answer,p(VL),p(L)\nVL,0.7,0.3\n").probabilities == wanted
    assert first(json.dumps({"answer": "VL", "probabilities": wanted})).probabilities == wanted
    assert first(written([{"answer": "VL", "p": json.dumps(wanted)}])).probabilities == wanted
    assert first("answer,p(VL),p(L)\nVL,,\n").probabilities is None
    assert first('answer,"p(a, b)"\nx,1\n').probabilities == {"a, b": 1.0}


def test_answers_that_are_no_text() -> None:
    assert first('{"answer": 3}').answer == "3"
    assert first('{"answer": null, "item": "a"}').answer is None
    assert first('{"answer": {"a": ["é"]}}').answer == '{"a": ["é"]}'


def test_lines_may_be_written_as_pandas_does() -> None:
    assert first("answer,line\nx,3.0\n").line == 3


def test_a_cell_may_be_long_and_hold_line_breaks() -> None:
    long = "x, y\n" * 100_000
    rows = read_rows(written([{"answer": long}, {"answer": "z"}]).encode())
    assert [row.answer for row in rows] == [long, "z"]
    assert rows[0].where == "line 100002"


@given(
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1)
)
@settings(max_examples=60, deadline=None)
def test_our_own_csv_comes_back_as_it_was(texts: list[str]) -> None:
    lines = [
        cells(
            PredictionRow(f"i{n}", n, n + 1, "test", None, text, text, text, text, True, [0.25, 0.75], -1.5, 1.0, 2, None), 2
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    rows = read_rows(b"".join(csv_text(header(["=a", "b"]), lines)))
    assert [row.answer for row in rows] == texts
    assert [row.expected or "" for row in rows] == texts
    assert rows[0].probabilities == {"=a": 0.25, "b": 0.75}
    assert rows[0].logprob == -1.5


def test_json_is_not_unguarded() -> None:
    assert first(json.dumps({"answer": "'=x"})).answer == "'=x"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty"),
        (b" \n ", "The file is empty"),
        (b"[]", "holds no rows"),
        (b"answer\n", "holds no rows"),
        (b"answer\nVL\xff\n", "not UTF-8 text (byte 10)"),
        (b"[1]", "The row 1 is not an object"),
        (b'{"answer": 1}\n3\n', "The line 2 is not an object"),
        (b'{"answer": 1}\n{"answer"\n', "Line 2 is not valid JSON"),
        (b"[{]", "The file is not valid JSON"),
        (b"[" * 300_000, "The file is not valid JSON"),
        (b'{"answer": ' * 300_000, "Line 1 is not valid JSON"),
        (b'{"answer": NaN}', "Line 1 is not valid JSON"),
        (b'{"answer": "\\ud800"}', "Line 1 is not valid JSON"),
        (b"item,line\n1,2\n", "has no answer: its columns are 'item', 'line'"),
        (b"a,b\n1,2,3\n", "The line 2 has 3 cells, but the header has 2"),
        (b"answer,answer\n1,2\n", "two columns named 'answer'"),
        (b"answer,line\nx,two\n", "says line 'two', which is no number"),
        (b"answer,line\nx,2.5\n", "which is no whole number"),
        (b"answer,line\nx,inf\n", "which is no number"),
        (b'{"answer": "x", "line": 1' + b"0" * 400 + b"}", "which is no number"),
        (b'{"answer": "x", "line": [1]}', "which is no number"),
        (b"answer,logprob\nx,nan\n", "says logprob 'nan'"),
        (b"answer,p(a)\nx,high\n", "says p(a) 'high', which is no number"),
        (b"answer,p(a)\nx,1.2\n", "says p(a) = 1.2, which is no probability"),
        (b"answer,p(a)\nx,-0.1\n", "which is no probability"),
        (b'answer,p\nx,"{oops"\n', "is not valid JSON"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(data: bytes, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_rows(data)
    assert said in refused.value.message
    assert refused.value.hint


def test_messages_stay_short_whatever_the_file_holds() -> None:
    names = ",".join(f"column{i}" + "x" * 1000 for i in range(100))
    with pytest.raises(Invalid) as refused:
        read_rows(f"{names}\n{names}\n".encode())
    assert len(refused.value.message) < 2000


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_break_it(data: bytes) -> None:
    for file in (data, b"answer\n" + data, b'{"answer": ' + data):
        try:
            assert read_rows(file)
        except Invalid as refused:
            refused.message.encode()
