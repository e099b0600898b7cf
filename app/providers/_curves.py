"""Points of curves from a service that gives them all at every look: those after the last step that was seen. Used
by together and fireworks.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.providers._shapes import Page, Point
from app.service_json import number, whole


def points_after(
    cursor: str,
    given: Iterable[Mapping[str, Any]],
    names: Mapping[str, tuple[str, ...]],
    steps: tuple[str, ...],
) -> Page:
    """The new points of each curve in `names` (ours -> the service's names for it); the cursor holds the last step of
    each curve, in the order of `names`. `steps`: the service's names for the step of a row."""
    seen = {curve: int(each) for curve, each in zip(names, cursor.split(","), strict=False) if each.isdigit()}
    points = []
    for row in given:
        step = next((each for name in steps if (each := whole(row, name)) is not None), None)
        for curve, theirs in names.items():
            value = next((found for name in theirs if (found := number(row, name)) is not None), None)
            if step is not None and value is not None and step > seen.get(curve, -1):
                points.append(Point(curve, step, value))
    last = seen | {point.name: point.step for point in sorted(points, key=lambda point: point.step)}
    return Page(",".join(str(last.get(curve, "")) for curve in names) if last else cursor, points=points)
