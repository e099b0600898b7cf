"""Request schemas for services that write camelCase, made of their SDKs' types, which name the same in snake_case."""

from collections.abc import Iterable
from typing import Any

from tests.emulator._service import schema_of


def camel_schema(kind: Any, without: Iterable[str] = ()) -> dict[str, Any]:
    """schema_of(kind) with the names as they travel; `without`: fields of the path or the query."""
    return _renamed(schema_of(kind, without))


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(each) for each in node]
    if not isinstance(node, dict):
        return node
    renamed = {name: _renamed(value) for name, value in node.items()}
    if isinstance(node.get("properties"), dict):
        renamed["properties"] = {_camel(name): _renamed(each) for name, each in node["properties"].items()}
        renamed["required"] = [_camel(name) for name in node.get("required", [])]
    return renamed


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)
