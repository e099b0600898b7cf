"""A service's published description (OpenAPI 3.0 or 3.1) as a judge of requests. Used by test_descriptions.py alone.

The descriptions are not part of the project: TUNEBOOK_API_DESCRIPTIONS names a folder that holds them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from jsonschema import Draft202012Validator

from tests.emulator._world import Seen

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class Description:
    """One file; problems() says what of a request it does not allow."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            raw = json.load(file) if path.suffix == ".json" else yaml.load(file, yaml.CSafeLoader)
        self.raw = modern(raw)
        self.base = urlsplit((raw.get("servers") or [{"url": ""}])[0]["url"]).path.rstrip("/")

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation of an address; a path without placeholders goes before one with."""
        for template in sorted(self.raw["paths"], key=lambda each: each.count("{")):
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(f"{self.base}{template}"))
            # Google's style writes whole resource names into one placeholder.
            found = self.raw["paths"][template].get(method.lower())
            if found is not None and re.fullmatch(pattern, path):
                shared = self.raw["paths"][template].get("parameters", [])
                return {**found, "parameters": [*shared, *found.get("parameters", [])]}
        return None

    def problems(self, seen: Seen, strict: bool = True) -> Iterator[str]:
        """What the description does not allow, as sentences; `strict`: nor fields that it does not name."""
        operation = self.operation(seen.method, seen.path)
        if operation is None:
            yield "no such operation"
            return
        yield from self._query(operation, seen.query)
        wanted = self.resolve(operation.get("requestBody") or {})
        if not wanted.get("required") and seen.body == "":
            return
        content = wanted.get("content") or {}
        is_form = isinstance(seen.body, dict) and "multipart/form-data" in content
        media = content.get("multipart/form-data" if is_form else "application/json")
        if media is None:
            if seen.body not in (None, "", {}):
                yield "a body where none is described"
            return
        yield from self._body(media.get("schema", {}), seen.body, is_form, strict)

    def _query(self, operation: dict[str, Any], query: str) -> Iterator[str]:
        known = {
            each["name"]: each for each in map(self.resolve, operation["parameters"]) if each["in"] == "query"
        }
        given = dict(parse_qsl(query, keep_blank_values=True))
        for name in given:
            if name.partition("[")[0] not in known and name not in known:
                yield f"query: {name} is not described"
        for name, parameter in known.items():
            if parameter.get("required") and name not in given:
                yield f"query: {name} is missing"

    def _body(self, schema: dict[str, Any], body: Any, is_form: bool, strict: bool) -> Iterator[str]:
        if is_form:
            properties = self.resolve(schema).get("properties", {})
            for name in body:
                if name.partition("[")[0] not in properties:
                    yield f"form: {name} is not described"
            for name in self.resolve(schema).get("required", []):
                if name not in body:
                    yield f"form: {name} is missing"
            return
        whole = {
            "allOf": [schema],
            **({"unevaluatedProperties": False} if strict else {}),
            "components": self.raw.get("components", {}),
        }
        for error in Draft202012Validator(whole).iter_errors(body):
            deepest = min([error, *(error.context or [])], key=lambda each: -len(each.absolute_path))
            where = ".".join(map(str, deepest.absolute_path)) or "body"
            yield f"{where}: {deepest.message[:300]}"

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """What a reference leads to."""
        while "$ref" in node:
            target: Any = self.raw
            for name in node["$ref"].removeprefix("#/").split("/"):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            node = target
        return node


def modern(node: Any) -> Any:
    """OpenAPI 3.0's own words in those of JSON Schema: nullable, and bounds that exclude by a flag."""
    if isinstance(node, list):
        return [modern(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: modern(value) for name, value in node.items()}
    for bound in BOUNDS:
        if isinstance(found.get(bound), str):  # 1e-08 is text in YAML 1.1
            found[bound] = float(found[bound])
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(flag), bool) and found.pop(flag) and bound in found:
            found[flag] = found.pop(bound)
    if found.get("nullable") is True and ("type" in found or "$ref" in found or "anyOf" in found):
        found.pop("nullable")
        return {"anyOf": [found, {"type": "null"}]}
    return found
