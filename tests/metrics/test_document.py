"""The documentation of the metrics is the metrics' own."""

from pathlib import Path

from app.metrics import for_task
from app.metrics._document import markdown

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m app.metrics._document > docs/metrics.md"


def test_the_page_names_every_metric_with_its_source() -> None:
    page = PAGE.read_text().replace("\\|", "|")
    for metric in for_task(None):
        assert f"`{metric.name}`" in page
        assert metric.source in page
