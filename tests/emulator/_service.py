"""One emulated service: its routes, what they accept, how it words errors. Used by the files of the services."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from tests.emulator._world import Made, World

Act = Callable[["Call"], Any]


@dataclass
class Answer:
    """What a route gives when plain JSON with status 200 is not enough. `body`: JSON, bytes, or pieces of a
    stream (an iterator of bytes, sent as they come)."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Problem(Exception):
    """The service says no, in its own words."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers


@dataclass
class Part:
    """One field of a multipart form; `filename` "" for a plain value."""

    content: bytes
    filename: str = ""
    media_type: str = ""

    @property
    def text(self) -> str:
        """As a plain value."""
        return self.content.decode()


@dataclass
class Call:
    """One request, already checked against its route."""

    world: World
    service: "Service"
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    raw: bytes
    params: dict[str, str] = field(default_factory=dict)
    account: str = "main"
    json: Any = None
    form: dict[str, list[Part]] = field(default_factory=dict)

    def things(self, kind: str) -> dict[str, dict[str, Any]]:
        """All things of a kind that this account has, by id. Fields that begin with "_" never go out (public())."""
        return self.world.things[self.service.name, self.account, kind]

    def thing(self, kind: str, id: str) -> dict[str, Any]:
        """One of them, or the service's 404."""
        try:
            return self.things(kind)[id]
        except KeyError:
            raise Problem(404, f"No such {kind}: {id}", "not_found") from None

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Those that stand in the list by now, the newest first; a new thing carries `_at` (put())."""
        now, late = self.world.now(), self.world.late_list
        return [each for each in reversed(self.things(kind).values()) if now >= each["_at"] + late]

    def put(self, kind: str, id: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Keeps a new thing."""
        self.things(kind)[id] = {**thing, "_at": self.world.now()}
        return self.things(kind)[id]

    def made(self, kind: str, id: str, launch_key: str = "") -> None:
        """Counts a create that costs or could cost money; `launch_key`: whatever identity came with it."""
        self.world.made.append(Made(self.service.name, kind, id, launch_key, self.world.now()))

    def charge(self, dollars: float) -> None:
        """Adds to the account's bill."""
        self.world.microdollars[self.service.name] += round(dollars * 1_000_000)

    def part(self, name: str) -> Part:
        """The one part of that name of a multipart form."""
        return self.form[name][0]


@dataclass
class Route:
    """One method and path; see Service.route."""

    method: str
    pattern: re.Pattern[str]
    act: Act
    body: Draft202012Validator | None
    form: Mapping[str, bool] | None
    query: tuple[str, ...]
    paced: bool


def openai_error(status: int, message: str, code: str) -> Any:
    """{"error": {...}}, as OpenAI and many others word it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}


def bearer(call: Call) -> str:
    """The key of an Authorization header; "" for none."""
    return (call.headers.get("authorization") or "").partition("Bearer ")[2]


@dataclass
class Service:
    """A service below /NAME; `base_path` is what its base URL ends with. `key_of` finds the key in a request,
    `error` words an error."""

    name: str
    base_path: str = "/v1"
    error: Callable[[int, str, str], Any] = openai_error
    key_of: Callable[[Call], str] = bearer
    routes: list[Route] = field(default_factory=list)
    # What a person must do at the service before a tuned model (its name) answers.
    by_hand: Callable[[World, str], None] = lambda world, model: None

    def route(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        form: Mapping[str, bool] | None = None,
        query: Iterable[str] = (),
        paced: bool = False,
    ) -> Callable[[Act], Act]:
        """Decorates a function(Call) -> JSON or Answer.

        `path` is written as published, the base path too: "/v1/files/{id}"; "{name:path}" takes slashes along.
        `body`: a JSON schema (dict), or a type of the official SDK (TypedDict, pydantic model) that one is made
        of: unknown fields are refused. `form`: names of a multipart form's parts and whether they must be there.
        `query`: the names that may stand in the query, as patterns ("metadata*"). `paced`: the rate limit and
        latency of world.paces[name] hold here.
        """
        regex = re.sub(r"\{(\w+)(:path)?\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", path)
        schema = body if isinstance(body, dict) or body is None else schema_of(body)
        validator = None if schema is None else Draft202012Validator(schema)

        def keep(act: Act) -> Act:
            pattern = re.compile(regex)
            self.routes.append(Route(method, pattern, act, validator, form, tuple(query), paced))
            return act

        return keep

    def find(self, call: Call) -> Route:
        """The call's route, its params set; or 404 and 405."""
        paths = False
        for route in self.routes:
            match = route.pattern.fullmatch(call.path)
            if match and route.method == call.method:
                call.params = match.groupdict()
                return route
            paths = paths or bool(match)
        if paths:
            raise Problem(405, f"Method {call.method} is not allowed for {call.path}")
        raise Problem(404, f"Unknown request URL: {call.method} {call.path}", "unknown_url")

    def sign_in(self, call: Call) -> None:
        """401 for no key and for one that world.refused_keys holds."""
        key = self.key_of(call)
        if not key or key in call.world.refused_keys:
            raise Problem(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        call.account = call.world.accounts.get(key, "main")

    def check(self, call: Call, route: Route) -> None:
        """400 for anything that the route does not know."""
        for name in call.query:
            if not any(fnmatchcase(name, each) for each in route.query):
                raise Problem(400, f"Unknown query parameter: {name}", "unknown_parameter")
        if route.form is not None:
            call.form = parts_of(call.raw, call.headers.get("content-type") or "")
            strange = [name for name in call.form if not any(fnmatchcase(name, each) for each in route.form)]
            lacking = [name for name, needed in route.form.items() if needed and name not in call.form]
            if strange or lacking:
                raise Problem(400, f"Form parts: unknown {strange}, missing {lacking}", "invalid_form")
        elif route.body is not None:
            call.json = _json(call)
            wrong = next(route.body.iter_errors(call.json), None)
            if wrong is not None:
                where = ".".join(str(each) for each in wrong.absolute_path) or "body"
                raise Problem(400, f"{where}: {wrong.message[:300]}", "invalid_value")


def _json(call: Call) -> Any:
    if not (call.headers.get("content-type") or "").startswith("application/json"):
        raise Problem(415, "The body must be application/json")
    try:
        return json.loads(call.raw)
    except ValueError:
        raise Problem(400, "We could not parse the JSON body of your request.") from None


def schema_of(kind: Any, without: Iterable[str] = ()) -> dict[str, Any]:
    """A JSON schema of an SDK's request type that refuses unknown fields, at any depth; `without`: fields that
    do not travel in the body."""
    schema = TypeAdapter(kind).json_schema()
    for name in without:
        schema["properties"].pop(name, None)
        schema["required"] = [each for each in schema.get("required", []) if each != name]
    return _closed(schema)


def _closed(node: Any) -> Any:
    if isinstance(node, dict):
        closed = {name: _closed(value) for name, value in node.items()}
        if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
            closed["additionalProperties"] = False
        return closed
    return [_closed(each) for each in node] if isinstance(node, list) else node


def parts_of(raw: bytes, media_type: str) -> dict[str, list[Part]]:
    """The parts of a multipart form by name. Raises Problem 400 where it is none."""
    found = re.search(r'multipart/form-data;.*boundary="?([^";]+)', media_type)
    if not found:
        raise Problem(400, "The body must be multipart/form-data")
    parts: dict[str, list[Part]] = {}
    for piece in (b"\r\n" + raw).split(b"\r\n--" + found[1].encode())[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        file = re.search(rb'filename="([^"]*)"', head)
        kind = re.search(rb"(?i)content-type: *([^\r\n]+)", head)
        parts.setdefault(name[1].decode() if name else "", []).append(
            Part(content, file[1].decode() if file else "", kind[1].decode() if kind else "")
        )
    return parts


def public(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A thing without the fields that begin with "_"."""
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def page_after(things: list[dict[str, Any]], query: Mapping[str, str], limit: int = 20) -> tuple[list, bool]:
    """(the page that `after` and `limit` name, whether more follow), for lists of things with an "id"."""
    ids = [each["id"] for each in things]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    most = int(query.get("limit", limit))
    return things[start : start + most], start + most < len(things)


def flat(query: str) -> dict[str, str]:
    """A query string, the last value of each name."""
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
