"""OpenAPI schemas in words and as curl commands, for the API reference. Pure."""

import json
import re
from typing import Any

Schema = dict[str, Any]
PLACES = {"model_id": "baseline/majority", "name": "NAME"}
QUERIES = {"runs": "1,2"}
VALUES: dict[str, Any] = {"integer": 1, "number": 0.5, "boolean": True, "string": "...", "object": {}}


def resolve(whole: Schema, schema: Schema) -> Schema:
    """The schema that a `$ref` points to, or the schema itself."""
    if "$ref" not in schema:
        return schema
    found: Schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def type_text(whole: Schema, schema: Schema) -> str:
    """A schema's type in words: "list of {model: string, seed: integer or null}"."""
    schema = resolve(whole, schema)
    if "anyOf" in schema:
        return " or ".join(type_text(whole, part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return "file"
    if schema.get("type") == "array":
        return f"list of {type_text(whole, schema.get('items', {}))}"
    if schema.get("properties"):
        parts = (f"{name}: {type_text(whole, part)}" for name, part in schema["properties"].items())
        return f"{{{', '.join(parts)}}}"
    return str(schema.get("type", "any"))


def example(whole: Schema, schema: Schema) -> Any:
    """A value that fits the schema: the example it gives itself, else of an object only what is required."""
    schema = resolve(whole, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return example(whole, schema["anyOf"][0])
    if schema.get("type") == "array":
        return [example(whole, schema.get("items", {}))]
    if schema.get("properties"):
        needed = schema.get("required", [])
        parts = {name: example(whole, part) for name, part in schema["properties"].items() if name in needed}
        if parts.get("model") == "...":
            parts["model"] = PLACES["model_id"]
        return parts
    return schema.get("default", VALUES.get(schema.get("type", ""), "..."))


def curl(whole: Schema, base: str, path: str, method: str, said: Schema) -> str:
    """A command that calls the endpoint with what is required; ids are 1."""
    url = re.sub(r"{(\w+)}", lambda found: PLACES.get(found.group(1), "1"), path)
    asked = [
        f"{row['name']}={QUERIES.get(row['name'], '1')}"
        for row in said.get("parameters", [])
        if row["in"] == "query" and row.get("required")
    ]
    lines = [
        'curl -H "Authorization: Bearer $TUNEBOOK_TOKEN"'
        + (f" -X {method.upper()}" if method != "get" else "")
    ]
    for media_type, content in said.get("requestBody", {}).get("content", {}).items():
        lines += _body(whole, media_type, resolve(whole, content["schema"]))
    lines.append(f"'{base}{url}{'?' if asked else ''}{'&'.join(asked)}'")
    return " \\\n  ".join(lines)


def _body(whole: Schema, media_type: str, schema: Schema) -> list[str]:
    if not media_type.startswith("multipart"):
        return [f"-H 'Content-Type: {media_type}'", f"-d '{json.dumps(example(whole, schema))}'"]
    fields = ((name, schema["properties"][name]) for name in schema.get("required", []))
    return [
        f"-F {name}=" + ("@file.jsonl" if type_text(whole, part) == "file" else "...")
        for name, part in fields
    ]
