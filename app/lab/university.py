"""A university's sign-in by OpenID Connect: where the browser is sent, and who it brings back. Called by
app/web/university.py. Asks the issuer over the network, so never inside a database transaction.

Authorization code with PKCE. State, nonce and verifier come from one secret that the browser keeps in a cookie, so that
nothing is stored here for strangers, and an answer opens nothing in another browser.
"""

import base64
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from app.config import settings
from app.errors import NotFound, ProviderError, SignInNeeded, TunebookError, Unavailable
from app.log import log
from app.outside import outside_client
from app.service_http import Access, Api

SECONDS = 10.0
# How long what the issuer says of itself is believed, and a failure to reach it.
FRESH_SECONDS, FAILED_SECONDS = 3600.0, 5.0
LEEWAY_SECONDS = 60
SCOPE = "openid email profile"
# Signatures by a key of the issuer alone: never "none", never a secret that we hold too.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True)
class Issuer:
    """What the issuer publishes of itself: its metadata and its keys."""

    facts: dict[str, Any]
    keys: dict[str, Any]
    at: float


@dataclass(frozen=True)
class Person:
    """Whom the issuer vouches for. `email` is in small letters, and "" unless the issuer has verified it."""

    subject: str
    email: str
    name: str


# By the issuer's name: what it publishes, or why it did not answer and when.
_known: dict[str, Issuer | tuple[TunebookError, float]] = {}
_asking = threading.Lock()


def is_offered() -> bool:
    """Whether the settings name an issuer."""
    return bool(settings().oidc_issuer and settings().oidc_client_id)


def require_offered() -> None:
    """Raises NotFound where there is no such sign-in."""
    if not is_offered():
        raise NotFound("This Tunebook has no sign-in by a university.", "Sign in by address and password.")


def new_flow() -> str:
    """The secret of one try to sign in."""
    return secrets.token_urlsafe(32)


def leave_for(flow: str, back: str) -> str:
    """The issuer's address to send the browser to; it returns to `back`. Raises Unavailable when the issuer does not
    answer."""
    verifier = _derived(flow, "verifier")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": settings().oidc_client_id,
        "redirect_uri": back,
        "scope": SCOPE,
        "state": _derived(flow, "state"),
        "nonce": _derived(flow, "nonce"),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    there = str(_issuer().facts["authorization_endpoint"])
    return f"{there}{'&' if urlsplit(there).query else '?'}{urlencode(asked)}"


def check_state(flow: str, state: str, issuer: str) -> None:
    """Raises SignInNeeded unless this browser asked for the answer, and the issuer is ours where it names itself."""
    ours = compare_digest(_derived(flow, "state").encode(), state.encode("utf-8", "replace"))
    if not flow or not ours or (issuer and issuer != settings().oidc_issuer):
        raise SignInNeeded(
            "This answer of the university's sign-in belongs to another try.",
            "It took more than ten minutes, or began in another browser. Sign in again.",
        )


def person_from(flow: str, code: str, back: str) -> Person:
    """Whom the code stands for. Raises SignInNeeded for a code or an ID token that does not hold, Unavailable when the
    issuer does not answer."""
    issuer = _issuer()
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "code_verifier": _derived(flow, "verifier"),
        "client_id": settings().oidc_client_id,
    }
    answer = _ask("POST", issuer.facts["token_endpoint"], data=form, **_client_secret(issuer, form))
    token, access = (answer.get(name) for name in ("id_token", "access_token"))
    if not isinstance(token, str) or not isinstance(access, str):
        raise _not_held("the answer has no ID token")
    claims = _claims(token, access, _derived(flow, "nonce"))
    if not claims.get("email") and issuer.facts.get("userinfo_endpoint"):
        head = {"authorization": f"Bearer {access}"}
        more = _ask("GET", issuer.facts["userinfo_endpoint"], headers=head)
        if more.get("sub") != claims["sub"]:
            raise _not_held("the details are of somebody else")
        claims = {**more, **claims}
    return _person(claims)


def _derived(flow: str, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {flow}".encode("utf-8", "replace")).hexdigest()


def _person(claims: dict[str, Any]) -> Person:
    # Some issuers send the word.
    verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"
    email = str(claims.get("email") or "").strip().lower() if verified else ""
    name = str(claims.get("name") or claims.get("preferred_username") or email.partition("@")[0])
    name = "".join(each for each in name if each.isprintable()).strip()[:100]
    return Person(f"{settings().oidc_issuer} {claims['sub']}", email, name)


def _claims(token: str, access: str, nonce: str) -> dict[str, Any]:
    """The ID token's claims, checked. A key that is not known yet is looked for once."""
    try:
        return _checked(token, access, nonce, _issuer())
    except KeyError:
        return _last_try(token, access, nonce)


def _last_try(token: str, access: str, nonce: str) -> dict[str, Any]:
    try:
        return _checked(token, access, nonce, _issuer(older_than=FAILED_SECONDS))
    except KeyError:
        raise _not_held("it is signed by a key that the issuer does not publish") from None


def _checked(token: str, access: str, nonce: str, issuer: Issuer) -> dict[str, Any]:
    """Raises KeyError for an unknown key, SignInNeeded for whatever else does not hold."""
    # Imported here: most Tunebooks have no such sign-in.
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    published = issuer.facts.get("id_token_signing_alg_values_supported") or ["RS256"]
    allowed = [each for each in ALGORITHMS if each in published]
    client = settings().oidc_client_id

    def key_of(signed: Any) -> KeySet:
        kept = [each for each in issuer.keys["keys"] if _signs(each, signed.headers())]
        if not kept:
            raise KeyError("kid")
        return KeySet.import_key_set({"keys": kept})

    try:
        found = jwt.decode(token, key_of, algorithms=allowed)
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": settings().oidc_issuer},
                "aud": {"essential": True, "value": client},
                "sub": {"essential": True},
                "exp": {"essential": True},
                "iat": {"essential": True},
            },
            {"nonce": nonce, "client_id": client, "access_token": access},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise _not_held(str(error)) from error
    if not isinstance(claims["sub"], str) or not 1 <= len(claims["sub"]) <= 255:
        raise _not_held("it names nobody")
    return dict(claims)


def _signs(key: Any, header: dict[str, Any]) -> bool:
    """Whether a published key can have made a signature with this header."""
    if not isinstance(key, dict) or key.get("kty") not in ("RSA", "EC", "OKP") or key.get("use") == "enc":
        return False
    return header.get("kid") is None or key.get("kid") == header["kid"]


def _not_held(why: str) -> SignInNeeded:
    log.warning("a sign-in by the university was refused: %s", why)
    return SignInNeeded(
        "The answer of the university's sign-in does not hold.",
        "Sign in again. If it happens once more, whoever runs this Tunebook finds the reason in its log.",
    )


def _client_secret(issuer: Issuer, form: dict[str, str]) -> dict[str, Any]:
    """How the client shows its secret: in a header, or in the form where that alone is taken."""
    secret = settings().oidc_client_secret
    ways = issuer.facts.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if not secret:
        return {}
    if "client_secret_basic" not in ways and "client_secret_post" in ways:
        form["client_secret"] = secret
        return {}
    pair = f"{quote(settings().oidc_client_id, safe='')}:{quote(secret, safe='')}"
    return {"headers": {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}}


def _issuer(older_than: float = FRESH_SECONDS) -> Issuer:
    """What the issuer publishes, asked at most once every `older_than` seconds, and by one thread at a time."""
    name = settings().oidc_issuer
    # Strangers may ask for this: while the issuer keeps one of them waiting the others go.
    if not _asking.acquire(timeout=2.0):
        raise Unavailable("The university's sign-in takes long to answer.", "Try again in a minute.")
    try:
        known = _known.get(name)
        if isinstance(known, Issuer) and time.monotonic() - known.at < older_than:
            return known
        if isinstance(known, tuple) and time.monotonic() - known[1] < FAILED_SECONDS:
            raise Unavailable(known[0].message, known[0].hint)
        _known[name] = found = published(name)
    except TunebookError as error:
        _known[name] = (error, time.monotonic())
        raise
    finally:
        _asking.release()
    return found


def published(issuer: str) -> Issuer:
    """Asks the issuer what it publishes. Raises Unavailable when it does not answer or cannot be used."""
    facts = _facts(issuer)
    keys = _ask("GET", facts["jwks_uri"])
    if not isinstance(keys.get("keys"), list):
        raise _unusable("its keys cannot be read")
    return Issuer(facts, keys, time.monotonic())


def _facts(issuer: str) -> dict[str, Any]:
    facts = _ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if facts.get("issuer") != issuer:
        raise _unusable(f"it calls itself {str(facts.get('issuer'))[:200]}")
    for each in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        where = urlsplit(str(facts.get(each)))
        if where.scheme not in ("https", urlsplit(issuer).scheme) or not where.hostname:
            raise _unusable(f"its {each} is no safe address")
    return facts


def _unusable(why: str) -> Unavailable:
    log.error("the issuer %s cannot be used: %s", settings().oidc_issuer, why)
    return Unavailable(
        f"The university's sign-in cannot be used: {why}.",
        "Whoever runs this Tunebook mends TUNEBOOK_OIDC_ISSUER.",
    )


def _ask(method: str, url: str, **options: Any) -> dict[str, Any]:
    """The JSON object of an answer; the issuer's own host may lie at a private address."""
    own = urlsplit(settings().oidc_issuer)
    access = Access("The university's sign-in", settings().oidc_issuer, settings().oidc_client_secret)
    with outside_client(SECONDS, own.hostname or "") as client:
        try:
            found = Api(access, client, {}).call(method, url, seconds=SECONDS, **options)
        except ProviderError as error:
            if error.code is not None and 400 <= error.code < 500 and method == "POST":
                raise _not_held(error.message) from error
            log.error("the university's sign-in failed: %s", error.message)
            raise Unavailable(
                error.message, "Try again in a minute, or sign in by address and password."
            ) from error
    return found if isinstance(found, dict) else {}
