"""The curves as the chart and the readings show them."""

from app.runs.chart import MOST_POINTS, loss_chart, readings


def curves(steps: int, validation: dict[int, float]) -> dict:
    return {
        "active": True,
        "steps": 5 * steps,
        "series": {
            "loss": [[step, 1 / (1 + step)] for step in range(1, steps + 1)],
            "validation_loss": [[step, value] for step, value in validation.items()],
            "learning_rate": [[1, 0.001], [2, 0.0005]],
        },
    }


def test_both_losses_share_one_axis_of_steps():
    chart = loss_chart(curves(4, {2: 0.7, 5: 0.6}))
    assert chart["x"] == [1, 2, 3, 4, 5]
    train, validation = chart["series"]
    assert train["values"] == [0.5, 1 / 3, 0.25, 0.2, None]
    assert validation["values"] == [None, 0.7, None, None, 0.6]
    assert chart["x_max"] == 20
    assert chart["live"] is True


def test_a_long_run_is_thinned_but_keeps_its_validation_points():
    chart = loss_chart(curves(20 * MOST_POINTS, {7: 0.7, 19_999: 0.1}))
    assert len(chart["x"]) <= MOST_POINTS + 2
    assert {7, 19_999} <= set(chart["x"])


def test_nothing_yet_is_an_empty_chart():
    nothing = {"active": True, "steps": None, "series": {}}
    assert loss_chart(nothing)["series"] == []
    assert readings(nothing) == []


def test_readings_show_the_newest_value():
    rows = {row.label: row for row in readings(curves(4, {2: 0.7}))}
    assert rows["Train loss"].value == "0.2"
    assert rows["Learning rate"].step == 2
    assert rows["Validation loss"].line is None
