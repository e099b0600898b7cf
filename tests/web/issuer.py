"""A university's sign-in for tests: an OpenID provider by Authlib's server side on a socket of its own, that can be told
to go wrong in one way at a time."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import flask
import httpx
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.serving import make_server

from app.web.session import COOKIE

BACK = "/sign-in/university/back"
ADA = {"sub": "u-ada", "name": "Ada Lovelace", "email": "Ada@Uni.Example", "email_verified": True}
CLIENT, SECRET = "tunebook-at-the-lab", "canary-oidc-secret-5d11"


@dataclass
class Issuer:
    """What the provider knows and how it goes wrong: `person` has the claims of who signs in there, `fault` is one of
    the ways below or "", `claims` replace those of the ID token, `asked` lists the paths that were asked for."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False))
    codes: dict[str, "Code"] = field(default_factory=dict)


class Client(ClientMixin):
    """The one client: this Tunebook."""

    def get_client_id(self) -> str:
        return CLIENT

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        parts = urlsplit(redirect_uri)
        return (parts.scheme, parts.hostname, parts.path) == ("http", "localhost", BACK)

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Person:
    """Who is signed in at the university."""

    def __init__(self, claims: dict[str, Any]) -> None:
        self.claims = claims

    def get_user_id(self) -> str:
        return str(self.claims["sub"])


@dataclass
class Code(AuthorizationCodeMixin):
    """One authorization code."""

    person: Person
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


def _grant(issuer: Issuer) -> type[AuthorizationCodeGrant]:
    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

        def save_authorization_code(self, code: str, request: Any) -> None:
            sent = request.payload.data
            issuer.codes[code] = Code(
                request.user, sent["redirect_uri"], sent["scope"], sent["nonce"],
                sent["code_challenge"], sent["code_challenge_method"],
            )  # fmt: skip

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return issuer.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            issuer.codes = {
                code: found for code, found in issuer.codes.items() if found is not authorization_code
            }

        def authenticate_user(self, authorization_code: Code) -> Person:
            return authorization_code.person

    return Grant


def _identity(issuer: Issuer) -> OpenIDCode:
    class Identity(OpenIDCode):
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            return False

        def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
            moment = int(time.time())
            claims = {
                "iss": issuer.url, "aud": CLIENT, "iat": moment, "exp": moment + 300,
                "nonce": request.authorization_code.nonce, **request.user.claims, **issuer.claims,
            }  # fmt: skip
            if issuer.fault == "details elsewhere":
                claims = {name: value for name, value in claims.items() if not name.startswith("email")}
            claims = {name: value for name, value in claims.items() if value is not None}
            return _signed(issuer, claims)

    return Identity(require_nonce=True)


def _signed(issuer: Issuer, claims: dict[str, Any]) -> str:
    if issuer.fault == "alg none":
        return jwt.encode({"alg": "none"}, claims, None, ["none"])
    if issuer.fault == "signed with the client's secret":
        return jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET), ["HS256"])
    if issuer.fault == "signed with the public key as a secret":
        return _by_public_key(issuer, claims)
    key = issuer.key
    if issuer.fault in ("another key", "a key of its own id"):
        key = RSAKey.generate_key(2048)
    kid = "two" if issuer.fault == "a key of its own id" else "one"
    made = jwt.encode({"alg": "RS256", "kid": kid}, claims, key)
    return f"{made[:-6]}AAAAAA" if issuer.fault == "broken signature" else made


def _by_public_key(issuer: Issuer, claims: dict[str, Any]) -> str:
    """By hand, since no library does it: whoever takes the algorithm from the token takes this for an HMAC of ours."""
    parts = ({"alg": "HS256", "kid": "one"}, claims)
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    code = hmac.digest(issuer.key.as_pem(private=False), text, "sha256")
    return b".".join((text, base64.urlsafe_b64encode(code).rstrip(b"="))).decode()


def _app(issuer: Issuer) -> flask.Flask:
    app = flask.Flask("issuer")
    server = AuthorizationServer(
        app, query_client=lambda id: Client() if id == CLIENT else None, save_token=lambda *_: None
    )
    server.register_grant(_grant(issuer), [CodeChallenge(required=True), _identity(issuer)])

    @app.before_request
    def note() -> Any:
        issuer.asked.append(flask.request.path)
        return ("", 503) if issuer.fault == "down" else None

    @app.get("/.well-known/openid-configuration")
    def configuration() -> Any:
        named = "https://another.example" if issuer.fault == "names itself otherwise" else issuer.url
        return {
            "issuer": named,
            "authorization_endpoint": f"{issuer.url}/authorize",
            "token_endpoint": f"{issuer.url}/token",
            "userinfo_endpoint": f"{issuer.url}/userinfo",
            "jwks_uri": f"{issuer.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    @app.get("/keys")
    def keys() -> Any:
        return {"keys": [{**issuer.key.as_dict(private=False), "use": "sig"}]}

    @app.get("/authorize")
    def authorize() -> Any:
        return server.create_authorization_response(grant_user=Person(dict(issuer.person)))

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get("/userinfo")
    def details() -> Any:
        return {**issuer.person, **({"sub": "another"} if issuer.fault == "another's details" else {})}

    return app


@contextmanager
def university() -> Iterator[Issuer]:
    """A running provider at `url`, with nobody signed in yet."""
    issuer = Issuer()
    server = make_server("127.0.0.1", 0, _app(issuer), threaded=True)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join(5)


def go(browser: TestClient, path: str = "/sign-in/university") -> str:
    """From our button through the university; gives the address it leads back to."""
    out = browser.get(path)
    assert out.status_code == 303, out.text
    there = httpx.get(out.headers["location"])
    assert there.status_code == 302, there.text
    back = urlsplit(there.headers["location"])
    assert back.path == BACK
    return f"{BACK}?{back.query}"


def refused(browser: TestClient, answer: httpx.Response) -> str:
    """The sentence of an answer that opened nothing."""
    assert 400 <= answer.status_code < 504, answer.status_code
    assert COOKIE not in browser.cookies
    assert browser.get("/").status_code == 401
    return answer.text
