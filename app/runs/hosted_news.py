"""Log lines and curve points of a hosted job since the last look. Called by polls and by the rescue at the end."""

import math
from dataclasses import dataclass

from app.errors import ProviderError
from app.providers._base import Training
from app.providers._shapes import Point, RemoteJob
from app.runs.hosted import PAUSING
from app.runs.outputs import CURVES
from app.service_http import Api
from app.tables import RemoteJobRow

# Pages of a log or of curves that one look reads.
PAGES = 5


@dataclass
class News:
    """What one look brought beside the job: cursors that go on, and what could not be read."""

    log_cursor: str
    metrics_cursor: str
    lines: list[str]
    points: list[Point]
    trouble: str = ""


def read_news(training: Training, api: Api, job: RemoteJob, row: RemoteJobRow, pages: int = PAGES) -> News:
    """Lines and points since the last look. A failure here is noted and does not hold up the state."""
    news = News(row.log_cursor, row.metrics_cursor, [], [])
    try:
        for _ in range(pages if training.logs else 0):
            page = training.logs(api, job, news.log_cursor)  # type: ignore[misc]
            news.lines += page.lines
            if page.cursor == news.log_cursor or not page.lines:
                break
            news.log_cursor = page.cursor
        for _ in range(pages if training.metrics else 0):
            page = training.metrics(api, job, news.metrics_cursor)  # type: ignore[misc]
            news.points += page.points
            if page.cursor == news.metrics_cursor or not page.points:
                break
            news.metrics_cursor = page.cursor
    except PAUSING:
        raise
    except ProviderError as error:
        news.trouble = error.message
    return news


def good_points(points: list[Point]) -> list[tuple[str, int, float]]:
    """Points of curves that Tunebook draws, without numbers that are none."""
    return [
        (point.name, point.step, float(point.value))
        for point in points
        if point.name in CURVES and math.isfinite(point.value) and abs(point.value) < 1e300
    ]
