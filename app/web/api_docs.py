"""The API reference at /api/docs, made from the application's own OpenAPI description, without any script."""

import json
from dataclasses import dataclass
from functools import lru_cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from app.web.api_words import Schema, curl, resolve, type_text
from app.web.pages import page

router = APIRouter()
METHODS = ("get", "post", "put", "patch", "delete")
# What each group of addresses is about, in the order of the page; groups not named here follow.
GROUPS = {
    "datasets": "Uploaded files, their check, and their splits.",
    "catalog": "The models one can launch, with their hyperparameters.",
    "experiments": "Plan a grid, launch it, import predictions made elsewhere.",
    "runs": "One model, one seed: follow it, stop it, fetch its files.",
    "evaluations": "Test predictions and their scores.",
    "comparisons": "Runs side by side over the same items.",
    "exports": "What leaves Tunebook: weights, cards, packages, pushes.",
}


@dataclass(frozen=True)
class Field:
    """One parameter or one field of a body."""

    name: str
    place: str
    type: str
    required: bool
    default: str


@dataclass(frozen=True)
class Endpoint:
    """One method at one address."""

    id: str
    method: str
    path: str
    text: str
    fields: tuple[Field, ...]
    answer: str
    curl: str


@dataclass(frozen=True)
class Group:
    """Endpoints of one noun."""

    name: str
    note: str
    endpoints: tuple[Endpoint, ...]


@router.get("/api/openapi.json")
def openapi_json(request: Request) -> JSONResponse:
    """The OpenAPI description, for generators of clients."""
    return JSONResponse(description(request.app))


@router.get("/api/docs")
def api_docs(request: Request) -> HTMLResponse:
    """The reference as a page."""
    base = str(request.base_url).rstrip("/")
    return page(request, "api/docs.html", "API", groups=endpoint_groups(request.app, base), base=base)


@lru_cache(maxsize=4)
def description(app: FastAPI) -> Schema:
    """FastAPI's description with what it cannot see: every address asks for a bearer token."""
    made = json.loads(json.dumps(app.openapi()))
    made.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    return made


@lru_cache(maxsize=16)
def endpoint_groups(app: FastAPI, base: str) -> tuple[Group, ...]:
    """All endpoints by noun; `base` is the address in the curl examples."""
    whole = description(app)
    found: dict[str, list[Endpoint]] = {name: [] for name in GROUPS}
    for path, methods in whole["paths"].items():
        for method in METHODS:
            if method in methods:
                tag = (methods[method].get("tags") or ["other"])[0]
                found.setdefault(tag, []).append(_endpoint(whole, base, path, method, methods[method]))
    return tuple(Group(name, GROUPS.get(name, ""), tuple(rows)) for name, rows in found.items() if rows)


def _endpoint(whole: Schema, base: str, path: str, method: str, said: Schema) -> Endpoint:
    fields = [
        _field(whole, row["name"], row["in"], row["schema"], row.get("required", False))
        for row in said.get("parameters", [])
        if row["in"] != "path"  # the address shows them
    ]
    content = said.get("requestBody", {}).get("content", {})
    for media_type in content:
        body = resolve(whole, content[media_type]["schema"])
        needed = body.get("required", [])
        for name, part in body.get("properties", {}).items():
            fields.append(
                _field(whole, name, "form" if "form" in media_type else "JSON", part, name in needed)
            )
    return Endpoint(
        f"{method}{path}".replace("/", "-").replace("{", "").replace("}", ""),
        method.upper(),
        path,
        said.get("description") or said.get("summary", ""),
        tuple(fields),
        _answer(said.get("responses", {})),
        curl(whole, base, path, method, said),
    )


def _answer(responses: Schema) -> str:
    """The status when all goes well, with the media type when it is not JSON: "201", "200 text/plain"."""
    status = next((status for status in responses if status.startswith("2")), "200")
    media_types = responses.get(status, {}).get("content", {})
    return " ".join([status, *(name for name in media_types if name != "application/json")])


def _field(whole: Schema, name: str, place: str, schema: Schema, required: bool) -> Field:
    default = schema.get("default")
    shown = "" if default is None or required else json.dumps(default, ensure_ascii=False)
    return Field(name, place, type_text(whole, schema), required, shown)
