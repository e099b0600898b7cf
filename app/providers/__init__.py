"""Hosted services that train or serve models: one file or folder each (contract: _base.py)."""

from typing import TYPE_CHECKING

from app.registry import load_kinds

if TYPE_CHECKING:
    from app.providers._base import Provider


def providers() -> "dict[str, Provider]":
    """Every provider by its name."""
    return load_kinds("app.providers", "PROVIDER")
