"""The live curves as static/js/chart.js and the run page draw them. Pure; fed by queries.curves()."""

from dataclasses import dataclass
from typing import Any

from app.format import number, short_count
from app.shapes import Sparkline, sparkline

# A browser draws a thousand points as well as a hundred thousand.
MOST_POINTS = 1_000
LINES = (("loss", "train", 1, False), ("validation_loss", "validation", 2, True))
DRAWN = tuple(name for name, *_ in LINES)
READINGS = (
    ("loss", "Train loss"),
    ("validation_loss", "Validation loss"),
    ("learning_rate", "Learning rate"),
    ("tokens_per_second", "Tokens per second"),
    ("preference_margin", "Preference margin"),
    ("preference_accuracy", "Pairs preferred"),
)


@dataclass(frozen=True)
class Reading:
    """The newest value of one curve, with the curve as a small line."""

    label: str
    value: str
    step: int
    line: Sparkline | None


def loss_chart(curves: dict[str, Any]) -> dict[str, Any]:
    """{"x", "series": [{name, values, colour, points}], "x_label", "x_max", "live"}: one value or null per step."""
    found = {name: dict(curves["series"].get(name, [])) for name, *_ in LINES}
    steps = sorted(set().union(*found.values()))
    every = -(-len(steps) // MOST_POINTS) if steps else 1
    # Thinned out, but never without a validation point: there are few of them.
    x = [step for place, step in enumerate(steps) if place % every == 0 or step in found["validation_loss"]]
    series = [
        {
            "name": shown,
            "values": [found[name].get(step) for step in x],
            "colour": colour,
            "points": points,
        }
        for name, shown, colour, points in LINES
        if found[name]
    ]
    return {
        "x": x,
        "series": series,
        "x_label": "step",
        "x_max": curves["steps"],
        "live": curves["active"],
    }


def readings(curves: dict[str, Any]) -> list[Reading]:
    """The newest value of each curve that has one."""
    rows = []
    for name, label in READINGS:
        points = curves["series"].get(name)
        if points:
            step, value = points[-1]
            shown = short_count(value) if name == "tokens_per_second" else number(value)
            thin = points[:: max(1, len(points) // 120)]
            rows.append(Reading(label, shown, int(step), sparkline([point[1] for point in thin])))
    return rows
