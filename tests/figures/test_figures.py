"""Every kind of figure: drawn inside its frame, written as SVG, PDF and CSV, the same bytes each time."""

import csv
import io
import itertools
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
from app.figures._plot import cut, cut_inside, width_of
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


def test_many_runs_are_cut_in_figures_of_parts_and_stand_in_the_table():
    for kind in figure_kinds():
        made = kind.draw(data(12))
        assert made is not None
        assert ("Drawn are the first 9 of 12 runs." in made.caption) == (
            kind.name not in ("scores", "learning_curve")
        )
        assert {row[0] for row in made.rows} == set(range(12))
        assert made.height < 1200


def curve(*runs: FigureRun) -> Figure:
    kind = next(kind for kind in figure_kinds() if kind.name == "learning_curve")
    made = kind.draw(FigureData(runs, "Accuracy", True))
    assert made is not None
    return made


def test_equal_curves_stand_beside_each_other():
    score = (0.5, 0.4, 0.6)
    runs = [
        run(place, model=model, colour=colour, train_items=size, score=score)
        for place, (model, colour, size) in enumerate(
            [("a", 1, 50), ("a", 1, 500), ("b", 2, 50), ("b", 2, 500)]
        )
    ]
    marks = [shape for shape in curve(*runs).shapes if isinstance(shape, Mark) and shape.title]
    assert len({(mark.x, mark.y) for mark in marks}) == 4


def test_settings_of_one_model_are_curves_of_their_own():
    runs = [
        run(place, model="a", variant=variant, train_items=size)
        for place, (variant, size) in enumerate(
            [("", 50), ("", 500), ("batch size 8", 50), ("batch size 8", 500)]
        )
    ]
    made = curve(*runs)
    assert [shape.text for shape in made.shapes if isinstance(shape, Text)][:2] == [
        "Model",
        "Model, batch size 8",
    ]
    assert (
        sum(
            isinstance(shape, Line) and len(shape.points) == 2 and shape.width == 1.3 for shape in made.shapes
        )
        == 2
    )


def test_sizes_that_would_touch_are_left_out():
    made = curve(*[run(place, model="a", train_items=1000 + place) for place in range(6)])
    sizes = [shape for shape in made.shapes if isinstance(shape, Text) and shape.text.startswith("1,00")]
    assert next(shape.text for shape in sizes) == "1,000"
    assert all(b.x - a.x > 20 for a, b in itertools.pairwise(sizes))


def test_names_are_cut_to_the_room_they_have():
    name = "CCCCCCCCN(CCCCCCCC)C(=O)C(C)C"
    for text in (name, "a long name of a model, seed 1", "日本語の名前はここで切れます", "ab"):
        for room in (30, 60, 138):
            assert width_of(cut(text, room)) <= room
            assert width_of(cut_inside(text, room)) <= room
    assert cut_inside(name, 138).endswith("C(=O)C(C)C")
    assert cut_inside(name, 1000) == cut(name, 1000) == name
    made = next(kind for kind in figure_kinds() if kind.name == "by_group").draw(
        data(by_group={name: Rate(1, 2)})
    )
    assert made is not None
    assert all(shape.x - width_of(shape.text, shape.size) >= 0 for shape in made.shapes
               if isinstance(shape, Text) and shape.anchor == "end")  # fmt: skip
