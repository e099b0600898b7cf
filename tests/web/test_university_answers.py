"""What comes back from a university's sign-in, and what of it is believed."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.web.issuer import BACK, CLIENT, SECRET, go, refused

# The provider's, not ours: they are about how it calls itself, and that it can sign by "none".
pytestmark = [
    pytest.mark.laptop,
    pytest.mark.filterwarnings("ignore:The 'grant' parameter"),
    pytest.mark.filterwarnings("ignore:JWS algorithm .none. is deprecated"),
]


def test_the_way_out_asks_for_what_protects_the_answer(stranger, issuer):
    asked = parse_qs(urlsplit(stranger.get("/sign-in/university").headers["location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["state"][0]) == len(asked["nonce"][0]) == 64
    again = parse_qs(urlsplit(stranger.get("/sign-in/university").headers["location"]).query)
    for name in ("state", "nonce", "code_challenge"):
        assert asked[name] != again[name]
    assert SECRET not in str(asked)


WRONG = {
    "wrong nonce": ("", {"nonce": "0" * 64}),
    "no nonce": ("", {"nonce": None}),
    "wrong audience": ("", {"aud": "another-client"}),
    "another client among two": ("", {"aud": [CLIENT, "x"], "azp": "x"}),
    "wrong issuer": ("", {"iss": "https://another.example"}),
    "expired": ("", {"exp": int(time.time()) - 3600}),
    "no expiry": ("", {"exp": None}),
    "from the future": ("", {"iat": int(time.time()) + 3600}),
    "nobody": ("", {"sub": None}),
    "a number for a subject": ("", {"sub": 7}),
    "wrong hash of the access token": ("", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    **{
        fault: (fault, {})
        for fault in (
            "alg none",
            "signed with the client's secret",
            "signed with the public key as a secret",
            "another key",
            "a key of its own id",
            "broken signature",
        )
    },
}


def test_an_id_token_that_does_not_hold_opens_nothing(stranger, issuer, ada, monkeypatch):
    monkeypatch.setattr("app.web.university.begin_try", lambda *_: [])
    for name, (issuer.fault, issuer.claims) in WRONG.items():
        said = refused(stranger, stranger.get(go(stranger)))
        assert "does not hold" in said, name
    issuer.fault, issuer.claims = "", {}
    assert stranger.get(go(stranger)).status_code == 200


def test_an_answer_belongs_to_the_browser_that_asked(stranger, issuer, ada):
    back = go(stranger)
    kept = dict(stranger.cookies)
    stranger.cookies.clear()
    assert "another try" in refused(stranger, stranger.get(back))
    stranger.cookies.update(kept)
    wrong = re.sub(r"state=\w{4}", "state=0000", back)
    assert "another try" in refused(stranger, stranger.get(wrong))
    stranger.cookies.clear()
    for query in ("", "?code=x", "?state=x&code=x", "?code=x&state=%00%F0%9F%92%A9", f"?state={'a' * 5000}"):
        refused(stranger, stranger.get(BACK + query))


def test_a_code_counts_once(stranger, issuer, ada):
    back = go(stranger)
    flow = stranger.cookies["tunebook_university"]
    assert stranger.get(back).status_code == 200
    assert "tunebook_university" not in stranger.cookies
    stranger.cookies.clear()
    stranger.cookies.set("tunebook_university", flow)
    assert "does not hold" in refused(stranger, stranger.get(back))


def test_another_browser_cannot_use_a_stolen_code(stranger, issuer, ada):
    """The code of one browser with the state of another: the verifier is not the one it was made for."""
    stolen = parse_qs(urlsplit(go(stranger)).query)["code"][0]
    stranger.cookies.clear()
    own = re.sub(r"code=[^&]+", f"code={stolen}", go(stranger))
    assert "does not hold" in refused(stranger, stranger.get(own))


def test_the_university_says_no(stranger, issuer, ada):
    state = parse_qs(urlsplit(go(stranger)).query)["state"][0]
    said = refused(stranger, stranger.get(f"{BACK}?state={state}&error=access_denied&error_description=<b>x"))
    assert "access_denied" in said
    assert "<b>" not in said
    state = parse_qs(urlsplit(go(stranger)).query)["state"][0]
    assert "call +1" not in refused(stranger, stranger.get(f"{BACK}?state={state}&error=call+%2B1"))
    state = parse_qs(urlsplit(go(stranger)).query)["state"][0]
    other = f"{BACK}?state={state}&code=x&iss=https://another.example"
    assert "another try" in refused(stranger, stranger.get(other))


def test_details_that_come_apart_from_the_token(stranger, issuer, ada):
    issuer.fault = "details elsewhere"
    assert stranger.get(go(stranger)).status_code == 200
    stranger.cookies.clear()
    issuer.fault, issuer.claims = "another's details", {"email": None}
    assert "does not hold" in refused(stranger, stranger.get(go(stranger)))


def test_tries_are_limited(stranger, issuer, ada):
    statuses = []
    for number in range(12):
        stranger.cookies.clear()
        issuer.claims = {"nonce": str(number)}
        statuses.append(stranger.get(go(stranger)).status_code)
    assert statuses == [401] * 10 + [429] * 2
