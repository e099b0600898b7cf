"""Every kind of figure: drawn inside its frame, written as SVG, PDF and CSV, the same bytes each time."""

import csv
import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from app.figures import (
    Figure,
    FigureData,
    FigureRun,
    csv_bytes,
    figure_kinds,
    inline_svg,
    pdf_bytes,
    standalone_svg,
)
from app.figures._base import COLOURS, Bar, Line, Mark, Rate, Text
from app.statistics import wilson
from tests.pages import ESCAPED, HOSTILE
from tests.web.test_tokens import PAIRS

BINS = [
    {"low": i / 15, "high": (i + 1) / 15, "n": 3 + i, "confidence": (i + 0.5) / 15, "accuracy": i / 14}
    for i in range(15)
]
ENTROPY = [{"low": i / 10, "high": (i + 1) / 10, "n": 10 - i, "right": 5 - i // 2} for i in range(10)]


def run(place: int, name: str = "", **more: object) -> FigureRun:
    """A run with all that a figure could ask for."""
    made = FigureRun(
        run_id=place,
        model=f"hf/model-{place % 2}",
        label="Model",
        name=name or f"Model {place}",
        colour=place % 8 + 1,
        items=40,
        train_items=100 * (place + 1),
        score=(0.5 + place / 50, 0.4, 0.9),
        by_label={"acid": Rate(7, 10), "base": Rate(0, 4), "salt": Rate(0, 0)},
        by_group={"first": Rate(3, 9), "second": Rate(5, 5)},
        calibration=BINS,
        entropy=ENTROPY,
        confusion=(["acid", "base"], ["acid", "base", "no label"], [[7, 2, 1], [4, 0, 0]]),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def data(runs: int = 9, **more: object) -> FigureData:
    return FigureData(tuple(run(place, **more) for place in range(runs)), "Accuracy", True, 0.4)  # type: ignore[arg-type]


DRAWN = [(kind.name, kind.draw(data())) for kind in figure_kinds()]


@pytest.fixture(params=[figure for _, figure in DRAWN], ids=[name for name, _ in DRAWN])
def figure(request: pytest.FixtureRequest) -> Figure:
    assert request.param is not None
    return request.param


def test_all_lies_inside_the_frame(figure: Figure):
    for shape in figure.shapes:
        points = {
            Line: lambda one: one.points,
            Bar: lambda one: ((one.x, one.y), (one.x + one.width, one.y + one.height)),
            Mark: lambda one: ((one.x, one.y),),
            Text: lambda one: ((one.x, one.y),),
        }[type(shape)](shape)
        for x, y in points:
            assert -0.01 <= x <= figure.width + 0.01, shape
            assert -0.01 <= y <= figure.height + 0.01, shape


def test_svg_is_well_formed_and_has_no_words_of_the_page(figure: Figure):
    alone = standalone_svg(figure)
    assert ElementTree.fromstring(alone).tag.endswith("svg")
    assert b"class=" not in alone
    assert b"style=" not in alone
    ElementTree.fromstring(inline_svg(figure))
    assert "style=" not in inline_svg(figure)


def test_the_same_figure_gives_the_same_bytes(figure: Figure):
    again = next(kind for kind in figure_kinds() if kind.name == figure.name).draw(data())
    assert again is not None
    assert standalone_svg(again) == standalone_svg(figure)
    first = pdf_bytes(figure)
    assert pdf_bytes(again) == first
    assert first.startswith(b"%PDF")
    assert b"IBMPlexSans" in first


def test_the_table_has_a_row_for_each_thing_drawn(figure: Figure):
    rows = list(csv.reader(io.StringIO(csv_bytes(figure).decode(), newline="")))
    assert tuple(rows[0]) == figure.header
    assert len(rows) == len(figure.rows) + 1 > 1
    assert {len(row) for row in rows} == {len(figure.header)}


@pytest.mark.parametrize("kind", figure_kinds(), ids=lambda kind: kind.name)
def test_nothing_to_draw_is_no_figure(kind):
    bare = FigureRun(1, "m", "M", "M", 1, 0)
    assert kind.draw(FigureData((bare,), "Accuracy", True)) is None
    assert kind.draw(FigureData((), "Accuracy", True)) is None


@pytest.mark.parametrize("kind", figure_kinds(), ids=lambda kind: kind.name)
def test_names_are_escaped(kind):
    rate = {HOSTILE: Rate(1, 2)}
    made = kind.draw(
        data(4, name=HOSTILE, label=HOSTILE, by_label=rate, by_group=rate,
             confusion=([HOSTILE], [HOSTILE], [[1]]))
    )  # fmt: skip
    assert made is not None
    for text in (inline_svg(made), standalone_svg(made).decode()):
        assert "<script" not in text
    assert ESCAPED.replace("&#39;", "&#x27;")[:12] in standalone_svg(made).decode()


def test_intervals_by_label_are_wilson_s():
    rows = next(figure.rows for name, figure in DRAWN if name == "by_label" and figure)
    first = next(row for row in rows if row[2] == "acid")
    assert first[3:5] == (7, 10)
    assert first[6:] == wilson(7, 10)
    assert not [row for row in rows if row[2] == "salt"]


def test_a_learning_curve_needs_two_sizes():
    kind = next(kind for kind in figure_kinds() if kind.name == "learning_curve")
    assert kind.draw(FigureData((run(1), run(2)), "Accuracy", True)) is None
    assert kind.draw(FigureData((run(1), run(3)), "Accuracy", True)) is not None


def test_paper_has_the_colours_of_the_page():
    light = {name: pair[0] for name, pair in PAIRS.items()}
    for name in (*(f"m{i}" for i in range(1, 9)), "ink", "ink-2", "ink-3", "rule", "accent", "good", "bad"):
        assert COLOURS[name] == light[name], name
