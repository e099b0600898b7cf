"""Export formats: one file per format, each writes a table of rows to a file. Used by exports and download menus."""

from collections.abc import Sequence

from app.export_formats._base import FLAG, REAL, TEXT, WHOLE, Column, ExportFormat, Rows
from app.export_formats._links import TABLES
from app.export_formats._links import download_links as _links
from app.registry import load_kinds

__all__ = ["FLAG", "REAL", "TEXT", "WHOLE", "Column", "ExportFormat", "Rows", "download_links", "formats"]


def formats() -> dict[str, ExportFormat]:
    """All formats by name, in the order in which menus show them."""
    kinds: list[ExportFormat] = list(load_kinds("app.export_formats", "FORMAT").values())
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: (kind.order, kind.name))}


def download_links(
    run_ids: Sequence[int], tables: Sequence[str] = tuple(TABLES)
) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """[(table, [(format, note, address), ...]), ...] of these runs, as menus show them."""
    return _links(formats().values(), run_ids, tables)
