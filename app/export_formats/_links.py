"""The addresses of tables to download: what every download menu lists. Pure."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from app.export_formats._base import ExportFormat

TABLES = {
    "predictions": "Predictions, a line per run and item",
    "wide": "Predictions, a line per item",
    "scores": "Scores with intervals",
}


def download_links(
    kinds: Iterable[ExportFormat], run_ids: Sequence[int], tables: Sequence[str] = tuple(TABLES)
) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """[(table, [(format, note, address), ...]), ...] for these runs."""
    listed = list(kinds)
    runs = ",".join(map(str, run_ids))
    return [
        (
            TABLES[what],
            [
                (
                    kind.label,
                    kind.note,
                    "/compare/export?"
                    + urlencode({"runs": runs, "what": what, "format": kind.name}, safe=","),
                )
                for kind in listed
            ],
        )
        for what in tables
    ]
