"""Role by owner, over every route of the application: who is refused what, and that nobody reaches another project."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.clock import now
from app.tables import Member, ProjectMember, Token
from app.web.session import COOKIE, OWN_CHANGES
from tests.fresh import application
from tests.web.conftest import SAME_SITE
from tests.web.lab_rows import Lab, seed_lab
from tests.web.test_route_walk import CLOSED

pytestmark = pytest.mark.slow_on_server
SAFE = ("GET", "HEAD", "OPTIONS")
CHANGES = [(method, path) for method, path in CLOSED if method not in SAFE]
# What a viewer may change: only what concerns themselves.
OWN = {
    "/sign-out",
    "/lab/password",
    "/lab/tokens",
    "/lab/tokens/{token_id}/end",
    "/lab/sessions/{session_id}/end",
    "/lab/sessions/others/end",
    "/lab/projects/{project_id}/enter",
    "/api/v1/tokens",
    "/api/v1/tokens/{token_id}",
}
# Whoever may look may ask the models that answer here; app/door/answer.py refuses what costs money (tests/door).
ASKS = "/v1/chat/completions"
OWN_FOLDERS = ("/lab/notifications/", "/api/v1/notifications/")
# What only an admin does; whatever begins so, and is a change.
ADMIN = re.compile(
    r"(POST|PATCH|PUT|DELETE) (/lab/projects(?!/\{project_id\}/enter)|/api/v1/projects|/lab/members|/api/v1/members"
    r"|/settings/services/\{name\}/place|/settings/budgets(?!/more)|/api/v1/budgets(?!/\{budget_id\}/requests)"
    r"|/api/v1/budget-requests|/settings/compute(?!/\{machine_id\}/check)|/api/v1/compute(?!/\{machine_id\}/check)"
    r"|/settings/endpoints(?!/\{endpoint_id\}/check)|/api/v1/endpoints(?!/\{endpoint_id\}/check)"
    r"|/settings/keys/\{credential_id\}/remove|/api/v1/keys/\{credential_id\}$|/api/v1/providers"
    r"|/settings/services/\{name\}/key)"
)
# What a member's request must hold to reach the check at all.
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /api/v1/datasets/{dataset_id}": {"task": "number"},
    "POST /api/v1/datasets/{dataset_id}/mapping": {"mapping": {}},
    "POST /api/v1/datasets/{dataset_id}/splits": {"kind": "seeded"},
    "POST /api/v1/runs/{run_id}/judgings": {"endpoint_id": 1, "scale": "right"},
    "POST /api/v1/judgings/{judging_id}/labels": {"number": 0, "label": "right"},
    "POST /api/v1/runs/{run_id}/exports": {"kind": "gguf"},
    "POST /api/v1/runs/{run_id}/rules": {},
    "POST /api/v1/runs/{run_id}/adopt": {"remote_id": "x"},
    "POST /api/v1/budgets": {"scope": "lab", "dollars": 1},
    "POST /api/v1/budgets/{budget_id}/requests": {"dollars": 1, "reason": "more"},
    "POST /api/v1/aliases": {"name": "x", "model": "run-1"},
    "POST /api/v1/endpoints": {"name": "x", "base_url": "https://example.org", "model": "x"},
    "POST /api/v1/compute": {"name": "x", "kind": "ssh"},
    "PATCH /api/v1/compute/{machine_id}": {"name": "x", "kind": "ssh"},
    "PATCH /api/v1/providers/{name}": {"enabled": True},
    "POST /api/v1/providers/{name}/keys": {"key": "x"},
    "POST /api/v1/members/invitations": {"email": "x@example.org"},
    "PATCH /api/v1/members/{member_id}": {"role": "viewer"},
    "POST /api/v1/projects": {"name": "x"},
    "PATCH /api/v1/projects/{project_id}": {"name": "x"},
}
FIXED = {"name": "together", "choice": "dismiss", "answer": "allow", "way": "batch", "number": "0"}


@pytest.fixture
def lab(session: Session) -> Lab:
    """Two projects and everybody."""
    return seed_lab(session)


@pytest.fixture
def web(lab: Lab) -> Iterator[TestClient]:
    """The application; each request says who asks."""
    app = application()
    with TestClient(app, "http://localhost", follow_redirects=False, raise_server_exceptions=False) as opened:
        yield opened


def address(path: str, ids: dict[str, int]) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: str(ids.get(found[1], FIXED.get(found[1], "1"))), path)


def ask(web: TestClient, lab: Lab, who: str, method: str, path: str, ids: dict[str, int]) -> Any:
    json = BODIES.get(f"{method} {path}", {} if path.startswith("/api/") and method not in SAFE else None)
    bearer = {"authorization": f"Bearer {lab.bearers[who]}"}
    return web.request(method, address(path, ids), headers=bearer, json=json)


def test_a_viewer_changes_nothing_but_what_is_their_own(web, lab):
    gone = {f"{method} {path}" for method, path in CHANGES if "/end" in path or path in ("/sign-out",)}
    tried = [(m, p) for m, p in CHANGES if f"{m} {p}" not in gone and p != "/api/v1/tokens/{token_id}"]
    allowed = {p for m, p in tried if ask(web, lab, "viewer", m, p, lab.mine).status_code != 403}
    assert {path for path in allowed if not path.startswith(OWN_FOLDERS)} <= OWN | {ASKS}
    assert len(tried) > 90
    assert all(OWN_CHANGES.fullmatch(address(path, lab.mine)) for _method, path in CHANGES if path in OWN)


def test_a_reading_token_changes_nothing_at_all(web, lab):
    for method, path in CHANGES[::5]:
        if path == ASKS:
            continue
        assert ask(web, lab, "reads", method, path, lab.mine).status_code == 403, (method, path)
    reads = {"authorization": f"Bearer {lab.bearers['reads']}"}
    assert web.get(f"/api/v1/datasets?x={lab.mine['dataset_id']}", headers=reads).status_code == 200


def test_nobody_reaches_another_project_by_an_id(web, lab):
    """Each id of each route, that of another project and one that nobody has: refused, and in the same way."""
    nobody = dict.fromkeys(lab.mine, 987_654)
    kept = {"token_id", "member_id", "note_id", "channel_id"}
    problems, tried = [], 0
    for method, path in CLOSED:
        names = set(re.findall(r"\{(\w+_id)\b", path)) - {"model_id"}
        if not names or method == "HEAD" or (path.startswith("/lab/") and names & kept):
            continue
        tried += 1
        theirs = ask(web, lab, "other", method, path, lab.mine).status_code
        unknown = ask(web, lab, "other", method, path, nobody).status_code
        if path.startswith(OWN_FOLDERS):
            continue
        if not 400 <= theirs < 500 or theirs != unknown:
            problems.append(f"{method} {path}: {theirs}, and {unknown} when there is none")
    assert tried > 90
    assert not problems, "\n".join(problems)


def test_only_an_admin_does_what_concerns_the_lab(web, lab):
    shared = [(method, path) for method, path in CHANGES if ADMIN.match(f"{method} {path}")]
    problems = []
    for method, path in shared:
        status = ask(web, lab, "member", method, path, lab.mine).status_code
        if status != 403:
            problems.append(f"{method} {path}: a member got {status}")
    assert len(shared) > 25
    assert not problems, "\n".join(problems)
    for path in ("/lab/audit", "/lab/audit.csv", "/api/v1/audit"):
        assert ask(web, lab, "member", "GET", path, {}).status_code == 403


@pytest.mark.parametrize("who", ["disabled", "removed"])
def test_who_was_shut_out_opens_nothing(web, lab, who):
    for method, path in CLOSED[::9]:
        assert ask(web, lab, who, method, path, lab.mine).status_code == 401, (method, path)
    web.cookies.set(COOKIE, lab.cookies[who])
    for path in ("/datasets/{dataset_id}", "/runs/{run_id}", "/experiments/{experiment_id}"):
        answer = web.get(address(path, lab.mine), headers=SAME_SITE)
        assert answer.status_code == (401 if who == "disabled" else 404), path
    assert web.post("/datasets/samples", headers=SAME_SITE).status_code in (401, 403)


def test_rights_end_at_once(web, lab, session):
    path = f"/api/v1/runs/{lab.mine['run_id']}"
    bearer = {"authorization": f"Bearer {lab.bearers['both']}"}
    assert web.get(path, headers=bearer).status_code == 200
    member = session.get_one(Member, lab.members["both"])
    member.role = "viewer"
    session.commit()
    assert web.post(f"{path}/cancel", headers=bearer).status_code == 403
    member.disabled_at = now()
    session.commit()
    assert web.get(path, headers=bearer).status_code == 401
    member.disabled_at = None
    session.delete(session.get_one(ProjectMember, (lab.mine["project_id"], lab.members["both"])))
    session.commit()
    assert web.get(path, headers=bearer).status_code == 401
    bearer = {"authorization": f"Bearer {lab.bearers['member']}"}
    session.get_one(Token, lab.mine["token_id"]).ended_at = now()
    session.commit()
    assert web.get(path, headers=bearer).status_code == 401


def test_ids_of_another_project_beside_ones_own(web, lab):
    mine, theirs = lab.mine, lab.theirs
    bearer = {"authorization": f"Bearer {lab.bearers['member']}"}
    pair = f"runs={mine['run_id']},{theirs['run_id']}"
    gets = [
        f"/datasets/{mine['dataset_id']}/splits/{theirs['split_id']}.jsonl",
        f"/api/v1/datasets/{mine['dataset_id']}/splits/{theirs['split_id']}.jsonl",
        f"/api/v1/datasets/{mine['dataset_id']}/items?split={theirs['split_id']}",
        *(f"{path}?{pair}" for path in ("/compare", "/compare.csv", "/compare/paper", "/compare/bundle.zip")),
        *(f"/api/v1/comparisons{end}?{pair}" for end in ("", ".csv", "/paper", "/bundle.zip")),
        f"/api/v1/comparisons/tests?a={mine['run_id']}&b={theirs['run_id']}",
        f"/experiments/new?dataset={theirs['dataset_id']}",
        f"/experiments/new?from={theirs['run_id']}",
    ]
    for path in gets:
        answer = web.get(path, headers=bearer)
        assert "of other" not in answer.text, path
        assert 400 <= answer.status_code < 500 or "/new" in path, (path, answer.status_code)
    models = [{"model": "baseline/majority"}]
    posts = {
        "/api/v1/experiments": [
            {"dataset_id": theirs["dataset_id"], "models": models},
            {"dataset_id": mine["dataset_id"], "split": theirs["split_id"], "models": models},
        ],
        f"/api/v1/runs/{mine['run_id']}/judgings": [
            {"endpoint_id": theirs["endpoint_id"], "scale": "right"},
            {"endpoint_id": mine["endpoint_id"], "scale": "better", "other_run_id": theirs["run_id"]},
        ],
        "/api/v1/shares": [{"runs": f"{mine['run_id']},{theirs['run_id']}"}],
        "/api/v1/comparisons/tests": [{}],
    }
    for path, bodies in posts.items():
        for body in bodies:
            query = f"?a={mine['run_id']}&b={theirs['run_id']}" if path.endswith("tests") else ""
            answer = web.post(path + query, headers=bearer, json=body)
            assert 400 <= answer.status_code < 500, (path, body, answer.text)
            assert "of other" not in answer.text


def test_what_lies_in_another_project_of_ones_own_offers_to_switch(web, lab):
    web.cookies.set(COOKIE, lab.cookies["both"])
    path = f"/datasets/{lab.theirs['dataset_id']}"
    answer = web.get(path, headers=SAME_SITE)
    assert answer.status_code == 404
    assert "Switch to There" in answer.text
    form = {"next": path}
    entered = web.post(f"/lab/projects/{lab.theirs['project_id']}/enter", data=form, headers=SAME_SITE)
    assert (entered.status_code, entered.headers["location"]) == (303, path)
    assert "of other" in web.get("/datasets", headers=SAME_SITE).text
    for bad in ("//evil.example", "/\\evil.example", "https:evil", "\\\\evil", "/%09/x\r\ny", ""):
        answer = web.post(
            f"/lab/projects/{lab.theirs['project_id']}/enter", data={"next": bad}, headers=SAME_SITE
        )
        assert answer.headers["location"] == "/", bad
    web.cookies.set(COOKIE, lab.cookies["member"])
    assert "Switch to" not in web.get(path, headers=SAME_SITE).text
    assert web.post(f"/lab/projects/{lab.theirs['project_id']}/enter", headers=SAME_SITE).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("who", ["viewer", "reads", "admin"])
def test_whoever_may_look_sees_every_page(web, lab, who):
    refused = []
    for method, path in CLOSED:
        if method != "GET" or path.startswith(
            ("/metrics", "/lab/audit", "/api/v1/audit", "/lab/members", "/api/v1/members")
        ):
            continue
        if (status := ask(web, lab, who, method, path, lab.mine).status_code) in (401, 403):
            refused.append(f"{path}: {status}")
    assert not refused, "\n".join(refused)


@pytest.mark.slow
def test_every_route_refuses_the_same_people(web, lab):
    """What the quick tests try of some routes, of all."""
    problems = []
    for method, path in CLOSED:
        for who in ("disabled", "removed"):
            if ask(web, lab, who, method, path, lab.mine).status_code != 401:
                problems.append(f"{method} {path} answers {who}")
        if method in SAFE:
            continue
        if path != ASKS and ask(web, lab, "reads", method, path, lab.mine).status_code != 403:
            problems.append(f"{method} {path} lets a reading token change something")
        own = "tokens" in path or "/projects/{project_id}/enter" in path or path == "/sign-out"
        if own or ADMIN.match(f"{method} {path}"):
            continue
        if ask(web, lab, "member", method, path, lab.mine).status_code in (401, 403):
            problems.append(f"{method} {path} refuses a member")
    assert not problems, "\n".join(problems)
