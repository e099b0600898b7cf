"""Export formats: one file per format, each writes a table of rows to a file. Used by exports and download menus."""

from app.export_formats._base import FLAG, REAL, TEXT, WHOLE, Column, ExportFormat, Rows
from app.registry import load_kinds

__all__ = ["FLAG", "REAL", "TEXT", "WHOLE", "Column", "ExportFormat", "Rows", "formats"]


def formats() -> dict[str, ExportFormat]:
    """All formats by name, in the order in which menus show them."""
    kinds: list[ExportFormat] = list(load_kinds("app.export_formats", "FORMAT").values())
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: (kind.order, kind.name))}
