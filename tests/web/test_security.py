"""What holds for every answer: Host, origin, headers, paths."""

import re

import pytest

from app.main import create_app
from app.web.security import CSP, HEADERS
from tests.web.conftest import SAME_SITE

ATTACKS = (
    *(
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
    ),
    *(
        "",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost, evil.example",
        "[::1].evil.example",
    ),
    *("127.0.0.2", "0.0.0.0", "localhost:8000:evil", "2130706433", "[::ffff:127.0.0.1]", "localhost\\.evil"),
)


@pytest.mark.parametrize("host", ATTACKS)
def test_other_hosts_are_refused(member, host):
    for path in ("/", "/healthz", "/static/css/tokens.css", "/nowhere"):
        assert member.get(path, headers={"host": host}).status_code == 400, path


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_allowed_hosts_answer(member, host):
    assert member.get("/healthz", headers={"host": host}).status_code == 200


def test_forwarded_hosts_are_ignored(member):
    answer = member.get("/", headers={"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"})
    assert answer.status_code == 200
    assert "evil.example" not in answer.text


CROSS_SITE = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:9999"},
    {"origin": "http://localhost@evil.example"},
    {"referer": "http://localhost/"},
    {},
)


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_changes_from_elsewhere_are_refused(member, method, headers):
    member.headers.pop("sec-fetch-site")
    for path in ("/sign-out", "/datasets", "/api/v1/experiments", "/nowhere"):
        assert member.request(method, path, headers=headers).status_code == 403, path
    assert member.get("/", headers=SAME_SITE).status_code == 200


@pytest.mark.parametrize("headers", [SAME_SITE, {"origin": "http://localhost"}], ids=str)
def test_changes_from_our_own_pages_are_taken(member, headers):
    member.headers.pop("sec-fetch-site")
    assert member.post("/sign-out", headers=headers).status_code == 303


def test_a_cookie_beside_a_wrong_token_does_not_help_another_site(member):
    member.headers.pop("sec-fetch-site")
    answer = member.post("/sign-out", headers={"authorization": "Bearer x"})
    assert answer.status_code == 401


def test_reading_from_elsewhere_is_not_allowed_by_cors(member):
    answer = member.get("/api/v1/models", headers={"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


ANSWERS = {
    "page": ("GET", "/", 200),
    "api": ("GET", "/api/v1/models", 200),
    "static": ("GET", "/static/css/tokens.css", 200),
    "no such file": ("GET", "/static/nowhere.css", 404),
    "no such page": ("GET", "/nowhere", 404),
    "no such row": ("GET", "/runs/999999", 404),
    "no such method": ("DELETE", "/datasets", 405),
    "unreadable": ("POST", "/api/v1/experiments", 422),
    "fault": ("GET", "/fault", 500),
    "redirect": ("POST", "/sign-out", 303),
    "health": ("GET", "/healthz", 200),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_headers_are_on_every_answer(member, name):
    method, path, status = ANSWERS[name]
    if name == "fault":

        def fault() -> None:
            raise RuntimeError("made by this test")

        # An application of its own: the other tests share theirs.
        member.app = create_app()
        member.app.add_api_route("/fault", fault)
        member._transport.app = member.app
    answer = member.request(method, path)
    assert answer.status_code == status
    for header, value in HEADERS.items():
        assert answer.headers.get(header) == value
    assert answer.headers["cache-control"] == (
        "private, max-age=31536000" if "/static/" in path else "no-store"
    )
    assert "server" not in answer.headers
    assert "made by this test" not in answer.text
    assert "Traceback" not in answer.text


def test_headers_are_on_refusals(stranger):
    for answer in (
        stranger.get("/", headers={"host": "evil.example"}),
        stranger.post("/sign-out", headers={"sec-fetch-site": "cross-site"}),
        stranger.get("/"),
    ):
        assert answer.status_code in (400, 401, 403)
        assert answer.headers["content-security-policy"] == CSP


def test_the_policy_allows_nothing_inline():
    assert "unsafe" not in CSP
    assert "default-src 'none'" in CSP
    assert "*" not in CSP
    assert "frame-ancestors 'none'" in CSP


@pytest.mark.parametrize(
    "path", ["/", "/datasets", "/experiments", "/models", "/lab", "/compare", "/api/docs"]
)
def test_pages_keep_the_policy(member, path):
    text = member.get(path).text
    assert "<!doctype html>" in text.lower()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text, re.I)
    for address in re.findall(r"(?:src|href|action)=\"([^\"]*)\"", text):
        assert not address.startswith(("http:", "https:", "//")) or address.startswith("https://"), address
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(?:https?:)?//", text)


TRAVERSALS = (
    *("../app/config.py", "..%2fapp%2fconfig.py", "%2e%2e/%2e%2e/etc/passwd", "....//app/config.py"),
    *("css/../../app/config.py", "/etc/passwd", "%2fetc%2fpasswd", "..\\app\\config.py", "%00", "css", ""),
    *("css/%2e%2e%2f%2e%2e%2fpyproject.toml", "..%252fpyproject.toml"),
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_static_gives_only_static_files(member, path):
    answer = member.get(f"/static/{path}")
    assert answer.status_code in (401, 404, 405)
    assert "TUNEBOOK_" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "row", ["0", "-1", "abc", "1e9", "9" * 30, "%00", "..%2f..%2fetc", "1;drop table run", "１"]
)
def test_odd_row_ids_are_answered_in_words(member, row):
    for path in (
        "/runs/{}",
        "/datasets/{}",
        "/experiments/{}",
        "/api/v1/runs/{}",
        "/api/v1/runs/{}/predictions.csv",
    ):
        answer = member.get(path.format(row))
        assert answer.status_code in (404, 422), f"{path.format(row)} answered {answer.status_code}"


def test_application_hides_its_schema():
    app = create_app()
    assert (app.openapi_url, app.docs_url, app.redoc_url) == (None, None, None)
