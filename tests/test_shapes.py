"""The arithmetic behind whiskers, bars, lines and shaded cells."""

import math

import pytest

from app.shapes import (
    MARKERS,
    axis_over,
    colour_number,
    confusion,
    heat_step,
    histogram,
    marker_shape,
    nice_ticks,
    sparkline,
    stacked,
    whisker,
)


def test_eight_colours_have_eight_shapes_and_then_begin_again():
    assert [marker_shape(n) for n in range(1, 9)] == list(MARKERS)
    assert len(set(MARKERS)) == 8
    assert marker_shape(9) == marker_shape(1)
    assert [colour_number(i) for i in (0, 7, 8)] == [1, 8, 1]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (36.6, 78.1, [40, 50, 60, 70]),
        (-2.3, 5.7, [-2, 0, 2, 4]),
        (0.0012, 0.0019, [0.0012, 0.0014, 0.0016, 0.0018]),
    ],
)
def test_ticks_are_round_and_few(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


def test_ticks_refuse_a_scale_without_length():
    with pytest.raises(ValueError, match="two ends in order"):
        nice_ticks(3, 3)


def test_axis_holds_every_interval_and_labels_in_per_cent():
    axis = axis_over([(0.697, 0.781), (0.366, 0.46)], reference=0.412, scale=100, floor=0, ceiling=1)
    assert axis.low < 0.366
    assert axis.high > 0.781
    assert [tick.label for tick in axis.ticks] == ["40", "50", "60", "70", "80"]
    assert axis.reference == axis.x(0.412)
    assert all(0 <= tick.x <= axis.width for tick in axis.ticks)


def test_axis_stays_inside_floor_and_ceiling():
    axis = axis_over([(0.0, 1.0)], floor=0, ceiling=1)
    assert (axis.low, axis.high) == (0, 1)
    assert axis.x(2) == axis.width
    assert axis.x(-2) == 0


@pytest.mark.parametrize("intervals", [[], [(1.0, 1.0)], [(0.0, 0.0)], [(math.nan, math.nan)]])
def test_axis_of_nothing_or_of_one_value_still_has_length(intervals):
    axis = axis_over(intervals, scale=100, floor=0, ceiling=1)
    assert axis.high > axis.low
    assert axis.ticks


def test_axis_of_differences_writes_a_true_minus():
    axis = axis_over([(-0.023, 0.057)], reference=0, scale=100)
    assert "−2" in [tick.label for tick in axis.ticks]


def test_whisker_places_the_point_between_its_ends():
    axis = axis_over([(0.6, 0.8)])
    row = whisker(axis, 0.7, 0.6, 0.8, 2, "70 per cent, 60 to 80")
    assert row.x_low < row.x < row.x_high
    assert row.x == pytest.approx(axis.width / 2)
    assert (row.colour, row.shape) == (2, "square")


def test_stacked_pieces_lie_side_by_side_and_leave_the_rest_empty():
    first, second = stacked([(0.5, "expected"), (0.25, "wrong")], width=100, gap=1)
    assert (first.x, first.width, first.kind) == (0, 49, "expected")
    assert (second.x, second.width, second.kind) == (50, 24, "wrong")


def test_stacked_never_runs_over_the_end_and_drops_slivers():
    pieces = stacked([(0.9, "a"), (0.001, "b"), (0.4, "c"), (-1, "d")], width=100)
    assert [piece.kind for piece in pieces] == ["a", "c"]
    assert pieces[-1].x + pieces[-1].width == pytest.approx(100)


def test_histogram_scales_to_the_tallest_and_keeps_small_bars_in_sight():
    drawing = histogram([0, 1, 1000], ["0", "10", "20", "30"], height=100, over=2)
    assert [bar.height for bar in drawing.bars] == [0, 1.5, 100]
    assert [bar.kind for bar in drawing.bars] == ["", "", "over"]
    assert drawing.bars[2].title == "20 to 30: 1,000 items"
    assert all(bar.y + bar.height == pytest.approx(100) for bar in drawing.bars)


def test_histogram_thins_its_labels_and_checks_its_edges():
    drawing = histogram([1] * 40, [str(i) for i in range(41)])
    assert len(drawing.ticks) <= 9
    with pytest.raises(ValueError, match="need 3 edges"):
        histogram([1, 2], ["0", "1"])


def test_sparkline_runs_from_left_to_right_with_the_lowest_value_lowest():
    line = sparkline([3.0, None, 1.0, 2.0], width=100, height=20, margin=0)
    assert line is not None
    assert line.path == "M0.0 0.0L66.7 20.0L100.0 10.0"
    assert (line.x, line.y) == (100.0, 10.0)


def test_sparkline_needs_two_finite_values_and_draws_a_flat_line_in_the_middle():
    assert sparkline([1.0, None, math.nan]) is None
    flat = sparkline([2.0, 2.0], height=20)
    assert flat is not None
    assert flat.y == 10


@pytest.mark.parametrize(("value", "step"), [(0, 0), (1, 1), (50, 4), (99, 8), (100, 9), (140, 9), (-3, 0)])
def test_heat_steps(value, step):
    assert heat_step(value, 100) == step
    assert heat_step(value, 0) == 0


def test_confusion_shades_each_row_by_its_own_total():
    rows = confusion(["low", "high"], ["low", "high", "no answer"], [[90, 10, 0], [1, 2, 1]])
    assert [row.total for row in rows] == [100, 4]
    assert [cell.step for cell in rows[0].cells] == [8, 1, 0]
    assert [cell.step for cell in rows[1].cells] == [2, 4, 2]
    assert [cell.right for cell in rows[1].cells] == [False, True, False]


def test_confusion_refuses_rows_of_another_length():
    with pytest.raises(ValueError, match="shorter"):
        confusion(["low"], ["low", "high"], [[1]])
