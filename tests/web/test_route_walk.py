"""Every route of the whole application is closed, except those written here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Mount, WebSocketRoute

from app.main import create_app
from app.web.session import OPEN_PATHS

OPEN = {
    *("/sign-in", "/sign-in/university", "/sign-in/university/back", "/setup", "/invitations"),
    *("/healthz", "/readyz", "/favicon.ico"),
}
# Opened by the secret in their own path, and only to look.
BY_LINK = {"/shared/{secret}", "/shared/{secret}/{name}"}
MOUNTS = {"/static"}


def routes(app: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of each route, through included routers and mounts; a mount is ("MOUNT", path)."""
    for route in app.routes:
        assert not isinstance(route, WebSocketRoute), f"{route.path}: the gate does not see web sockets"
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield from ((method, prefix + context.path) for method in context.methods or {"GET"})
        elif isinstance(route, Mount):
            yield "MOUNT", prefix + route.path
            if getattr(route.app, "routes", None):
                yield from routes(route.app, prefix + route.path)
        else:
            yield from ((method, prefix + route.path) for method in route.methods or {"GET"})


ALL = sorted(set(routes(create_app())))
CLOSED = [(method, path) for method, path in ALL if method != "MOUNT" and path not in OPEN | BY_LINK]


def test_the_list_is_the_same_in_the_code():
    assert OPEN_PATHS == OPEN
    assert len(OPEN) + 1 <= 9, "the list of what strangers may open stays short; shared links are the ninth"


def test_the_walk_finds_everything():
    found = {path for _method, path in ALL}
    assert set(create_app().openapi()["paths"]) <= {re.sub(r":path}", "}", path) for path in found}
    assert {"/", "/datasets", "/experiments", "/lab", "/runs/{run_id}", "/api/docs"} <= found
    assert {path for method, path in ALL if method == "MOUNT"} == MOUNTS


def test_every_route_but_these_is_closed(stranger):
    open_ones = []
    for method, path in CLOSED:
        address = re.sub(r"\{[^}]*\}", "1", path)
        answer = stranger.request(method, address)
        if answer.status_code != 401:
            open_ones.append(f"{method} {path} answered {answer.status_code}")
    assert len(CLOSED) > 40
    assert not open_ones, "these routes answer strangers: " + ", ".join(open_ones)


@pytest.mark.parametrize(
    "path", ["/datasets/", "//datasets", "/./datasets", "/DATASETS", "/static/../datasets"]
)
def test_spelling_an_address_otherwise_does_not_open_it(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code in (401, 404, 307)
    assert answer.status_code != 307 or stranger.get(answer.headers["location"]).status_code == 401


@pytest.mark.parametrize("path", sorted(OPEN))
def test_open_routes_tell_nothing_of_the_lab(stranger, path):
    answer = stranger.get(path)
    status = {"/sign-in": 401, "/setup": 303, "/invitations": 404}
    # There only where an issuer is set.
    status |= {"/sign-in/university": 404, "/sign-in/university/back": 404}
    assert answer.status_code == status.get(path, 200)
    assert len(answer.content) < 12_000


@pytest.mark.parametrize("path", sorted(BY_LINK))
def test_a_link_that_is_none_opens_nothing(stranger, path):
    answer = stranger.get(re.sub(r"\{[^}]*\}", "1", path))
    assert answer.status_code in (303, 404)


def test_no_api_schema_for_strangers(stranger):
    for path in (
        "/openapi.json",
        "/docs",
        "/redoc",
        "/api/docs",
        "/api/openapi.json",
        "/api/v1/openapi.json",
    ):
        assert stranger.get(path).status_code in (401, 404), path


@pytest.mark.laptop
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "get"])
@pytest.mark.parametrize(
    "path", ["/datasets", "/lab%2Faudit", "/api/v1/runs/", "/lab//projects", "/LAB/PROJECTS"]
)
def test_odd_methods_and_spellings_open_nothing(stranger, method, path):
    assert stranger.request(method, path).status_code in (307, 401, 403, 404, 405)
