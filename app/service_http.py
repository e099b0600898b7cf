"""The way to a service: its base URL, its key, every failure told apart, no call ever sent twice. Used by providers and
compute.

What comes back is read up to a size and a deadline, and never repeats the key in a message.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from app import errors
from app.log import hidden
from app.outside import Refused as AddressRefused

LARGEST_ANSWER = 64 * 1024 * 1024
CALL_SECONDS = 60.0
MOST_REDIRECTS = 5
# How services say that the account has no money left, in whatever status.
NO_MONEY = (
    "insufficient_quota",
    "insufficient_balance",
    "billing",
    "credit",
    "payment required",
    "spending limit",
    "suspended",
)


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=_HasId)


@dataclass(frozen=True)
class Access:
    """Where the service is and as whom: `fields` holds what it needs beside the key (account, project, ...)."""

    label: str
    base_url: str
    key: str = field(default="", repr=False)
    fields: Mapping[str, str] = field(default_factory=dict)


class Api:
    """One service as one member. `headers` are sent to the base URL's own host alone."""

    def __init__(
        self, access: Access, client: httpx.Client, headers: Mapping[str, str] | None = None
    ) -> None:
        self.access, self.client = access, client
        own = {"authorization": f"Bearer {access.key}"} if headers is None and access.key else headers or {}
        self.headers = {"user-agent": "tunebook", **own}
        # Called by what uploads before it creates, right before the create (Batch.says_creating).
        self.creating: Callable[[], None] = lambda: None

    def get(self, path: str, **options: Any) -> Any:
        """call("GET", ...)."""
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> Any:
        """call("POST", ...)."""
        return self.call("POST", path, json=json, **options)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Sends once and gives the JSON of the answer ({} for an empty one).

        `path` stands below the base URL, or is a whole URL. Options are those of httpx's request, and `seconds`.
        Raises the ProviderError that fits; Unclear where nobody can know whether the call took effect.
        """
        return self.decode(self.send(method, path, **options).content)

    def decode(self, body: bytes) -> Any:
        """JSON, or Unclear."""
        if not body.strip():
            return {}
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.unclear("answered something that is not JSON, or was cut") from error

    def send(self, method: str, path: str, seconds: float = CALL_SECONDS, **options: Any) -> httpx.Response:
        """Sends once and gives the whole answer, read into memory; raises as call() does. Redirects are answers."""
        url = self.url(path)
        headers = {**self.own_headers(url), **options.pop("headers", {})}
        timeout = httpx.Timeout(seconds, connect=min(10.0, seconds))
        try:
            with self.client.stream(method, url, headers=headers, timeout=timeout, **options) as answer:
                body = self._read(answer, time.monotonic() + 2 * seconds)
        except AddressRefused as error:
            raise errors.Refused(
                f"{self.access.label}: the address is refused: {error}.",
                "Change its base URL in the settings.",
            ) from error
        except httpx.ConnectError as error:
            # Nothing was sent.
            raise errors.Busy(
                f"{self.access.label} cannot be reached: {self.safe(str(error))}.", wait=10.0
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self.unclear(f"gave no whole answer ({type(error).__name__})") from error
        whole = httpx.Response(
            answer.status_code, headers=_plain(answer.headers), content=body, request=answer.request
        )
        if answer.status_code >= 400:
            raise self.failure(whole)
        return whole

    def url(self, path: str) -> str:
        """The whole address of a path."""
        return path if "://" in path else f"{self.access.base_url}/{path.lstrip('/')}"

    def own_headers(self, url: str) -> Mapping[str, str]:
        """The key goes to its own host alone, also after a redirect."""
        own, other = urlsplit(self.access.base_url), urlsplit(url)
        same = (own.scheme, own.netloc) == (other.scheme, other.netloc)
        return self.headers if same else {"user-agent": "tunebook"}

    def download(self, url: str, path: Path, seconds: float = 600.0, most_bytes: int = 200 * 2**30) -> int:
        """Fetches a file into `path`, going on from what is there already; gives its size in bytes.

        Raises Unclear when it was cut: what has come stays, and the next call goes on from there.
        """
        at = path.stat().st_size if path.exists() else 0
        for _ in range(MOST_REDIRECTS):
            headers = {**self.own_headers(self.url(url)), **({"range": f"bytes={at}-"} if at else {})}
            found = self._fetch(self.url(url), headers, path, at, seconds, most_bytes)
            if isinstance(found, int):
                return found
            url = urljoin(self.url(url), found)
        raise errors.Refused(f"{self.access.label} sends the download in circles.")

    def _fetch(
        self, url: str, headers: Mapping[str, str], path: Path, at: int, seconds: float, most: int
    ) -> int | str:
        """The size of the finished file, or the address that a redirect names."""
        try:
            with self.client.stream("GET", url, headers=headers, timeout=httpx.Timeout(60.0)) as answer:
                if answer.is_redirect:
                    return answer.headers["location"]
                if answer.status_code == 416 and at:
                    return at
                if answer.status_code in (401, 403) and self.own_headers(self.url(url)) is not self.headers:
                    # Presigned addresses run out; the key was not asked for.
                    raise self.unclear("gave a download address that has run out")
                if answer.status_code >= 400:
                    body = self._read(answer, time.monotonic() + 30)
                    raise self.failure(
                        httpx.Response(answer.status_code, headers=_plain(answer.headers), content=body)
                    )
                goes_on = answer.status_code == 206
                size = _write(answer, path, at if goes_on else 0, time.monotonic() + seconds, most)
                length = answer.headers.get("content-length")
        except AddressRefused as error:
            raise errors.Refused(
                f"{self.access.label}: the download's address is refused: {error}."
            ) from error
        except httpx.HTTPError as error:
            raise self.unclear(f"broke the download off ({type(error).__name__})") from error
        if length is not None and size - (at if goes_on else 0) != int(length):
            raise self.unclear("broke the download off")
        return size

    def _read(self, answer: httpx.Response, deadline: float) -> bytes:
        body = bytearray()
        for piece in answer.iter_bytes():  # as it comes, so that a trickle meets the deadline
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise self.unclear(f"answered with more than {LARGEST_ANSWER // 2**20} MB")
            if time.monotonic() > deadline:
                raise self.unclear("did not finish its answer in time")
        return bytes(body)

    def about(self, found: Named, id: str) -> Named:
        """`found`, where it is the thing that was asked about; else Unclear: another one's state must not be believed."""
        if found.id != id:
            raise self.unclear(f"answered about {found.id or 'something without an id'} instead of {id}")
        return found

    def unclear(self, what: str) -> errors.Unclear:
        """Unclear, as a sentence on this service."""
        return errors.Unclear(f"{self.access.label} {what}.", "Tunebook asks again what has become of it.")

    def failure(self, answer: httpx.Response) -> errors.ProviderError:
        """The error that an answer of 400 and above means."""
        status, said = answer.status_code, self.safe(said_in(answer.content))
        sentence = f"{self.access.label} answered {status}" + (f": {said}" if said else ".")
        wait = retry_after(answer.headers)
        kind = _kind(status, said.lower() + _code(answer.content), wait)
        hint = HINTS.get(kind, "")
        error = kind(sentence, hint, wait, status)
        error.answer = answer.content
        return error

    def safe(self, text: str) -> str:
        """One line of at most 500 characters, without the key: some services repeat it."""
        if self.access.key:
            text = text.replace(self.access.key, "[key]")
        text = hidden(text)
        return "".join(c if c.isprintable() else " " for c in text)[:500].strip()


HINTS: dict[type[errors.ProviderError], str] = {
    errors.KeyRefused: "Enter a working key on the Settings page; the run then goes on.",
    errors.OutOfCredit: "Pay or raise the limit at the service, then let the run go on.",
    errors.Busy: "Tunebook tries again by itself.",
    errors.Unclear: "Tunebook asks again what has become of it.",
}


def _kind(status: int, said: str, wait: float | None) -> type[errors.ProviderError]:
    if status == 402 or (status in (403, 412, 429) and any(word in said for word in NO_MONEY)):
        return errors.OutOfCredit
    if status in (401, 403):
        return errors.KeyRefused
    if status in (404, 410):
        return errors.Gone
    if status == 409:
        return errors.AlreadyThere
    if status in (425, 429) or (status == 503 and wait is not None):
        return errors.Busy
    if status == 408 or status >= 500:
        return errors.Unclear
    return errors.Refused


def said_in(body: bytes) -> str:
    """The sentence of an error body in any of the shapes that services use; "" for none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for name in ("error", "detail", "message", "title"):
        value = found.get(name) if isinstance(found, dict) else None
        if isinstance(value, dict):
            value = value.get("message") or value.get("detail")
        if isinstance(value, list):
            value = "; ".join(
                str(each.get("msg", each)) if isinstance(each, dict) else str(each) for each in value
            )
        if value:
            return str(value)
    return ""


def _code(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body).get("error")
        return " ".join(str(error.get(name, "")) for name in ("code", "type")).lower()
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from retry-after-ms or Retry-After (a number or a date); None when neither is usable."""
    try:
        return max(float(headers.get("retry-after-ms", "")) / 1000, 0.0)
    except ValueError:
        pass
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Headers of a body that was decoded already."""
    return {
        name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")
    }


def _write(answer: httpx.Response, path: Path, at: int, deadline: float, most: int) -> int:
    with path.open("r+b" if at else "wb") as file:
        file.seek(at)
        for piece in answer.iter_bytes():
            file.write(piece)
            if file.tell() > most or time.monotonic() > deadline:
                raise httpx.ReadTimeout("larger or slower than allowed")
        return file.tell()
