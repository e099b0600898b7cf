"""HTTP to one Tunebook: reads are repeated with growing pauses, changes never are. Used by every file here."""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from .errors import (
    Answered,
    Invalid,
    NotFound,
    NoToken,
    TunebookError,
    Unconfirmed,
    Unreachable,
    UnusableFile,
    of_status,
)

T = TypeVar("T")
LOCAL = "http://127.0.0.1:8000"
# Answers after which the same read may well succeed.
PASSING = (429, 502, 503, 504)
TRIES, FIRST_PAUSE, LONGEST_PAUSE = 6, 0.25, 8.0
# What a server may ask us to wait before a read is repeated; more than that is told to the caller instead.
LONGEST_ASKED = 30.0
# Nothing had been sent when one of these came: the call can be made again whatever it was.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
PIECE = 1024 * 1024


class Wire:
    """The connection. `root` is the server's address, `pause(seconds)` waits between two tries."""

    def __init__(
        self,
        url: str | None,
        token: str | None,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root = clean_address(url or os.environ.get("TUNEBOOK_URL") or LOCAL)
        secret = (token or os.environ.get("TUNEBOOK_TOKEN") or "").strip()
        if not secret:
            raise NoToken(
                f"There is no token for {self.root}.",
                "Make one on the page Lab or with `tunebook token`, and give it as token=... or as TUNEBOOK_TOKEN.",
            )
        if not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise NoToken(
                "The token cannot be used: it holds blanks or strange characters.", "Copy it once more."
            )
        self.pause = pause
        self.http = httpx.Client(
            base_url=self.root,
            headers={"authorization": f"Bearer {secret}", "user-agent": "tunebook-client"},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport,
        )

    def read(self, path: str, **params: Any) -> Any:
        """The JSON at a path below /api/v1; repeated while the server is away or busy."""
        return decoded(self._repeated(lambda: self.http.get(f"/api/v1{path}", params=given(params))))

    def read_bytes(self, path: str, **params: Any) -> bytes:
        """The body at a path below /api/v1, as it is."""
        return self._repeated(lambda: self.http.get(f"/api/v1{path}", params=given(params))).content

    def read_by_post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A question that is too long for an address; it changes nothing, so it is repeated like every read."""
        data, headers = msgspec.json.encode(body), {"content-type": "application/json"}
        return decoded(
            self._repeated(lambda: self.http.post(f"/api/v1{path}", content=data, headers=headers))
        )

    def change(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Sends a change once. Raises Unconfirmed when its answer is lost, Unreachable when it was never sent."""
        if body is not None:
            options |= {"content": msgspec.json.encode(body), "headers": {"content-type": "application/json"}}
        where = path if path.startswith("/v1/") else f"/api/v1{path}"
        return decoded(self._once(method, where, options))

    def change_with_key(self, path: str, body: Mapping[str, Any], launch_key: str) -> Any:
        """POST of something that the server makes once for each launch key: after a lost answer the same is sent
        again, and the answer names what the first one made."""
        for attempt in range(TRIES):
            try:
                return self.change("POST", path, {**body, "launch_key": launch_key})
            except (Unconfirmed, Answered) as error:
                if isinstance(error, Answered) and error.status not in (500, 502, 503, 504):
                    raise
                if attempt == TRIES - 1:
                    raise Unconfirmed(
                        f"The launch was sent {TRIES} times and none was answered clearly; it was made once or not at all.",
                        f"Look at lab.experiments(), or launch again with launch_key={launch_key!r}.",
                        launch_key,
                    ) from error
            self.pause(_pause(attempt))

    @contextmanager
    def streamed(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """An answer that is read piece by piece."""
        try:
            with self.http.stream(method, path, **options) as answer:
                if not answer.is_success:
                    answer.read()
                    raise refused(answer)
                yield answer
        except httpx.TransportError as error:
            raise self._gone(error) from error

    def download(self, path: str, to: Path, said: Callable[[int, int], None], **params: Any) -> Path:
        """Writes what a path below /api/v1 holds into a file that is whole or not there; said(bytes, of)."""
        part = to.with_name(f"{to.name}.part")

        def fetch() -> httpx.Response:
            done = 0
            with self.http.stream("GET", f"/api/v1{path}", params=given(params)) as answer:
                if not answer.is_success:
                    answer.read()
                    return answer
                with part.open("wb") as file:
                    for piece in answer.iter_bytes(PIECE):
                        file.write(piece)
                        done += len(piece)
                        said(done, int(answer.headers.get("content-length") or 0))
            return answer

        try:
            self._repeated(fetch)
            part.replace(to)
        except OSError as error:
            raise UnusableFile(
                f"{to} cannot be written: {error.strerror}.", "Choose another file."
            ) from error
        finally:
            part.unlink(missing_ok=True)
        return to

    def _repeated(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = call()
            except httpx.TransportError as error:
                if last:
                    raise self._gone(error) from error
                self.pause(_pause(attempt))
                continue
            asked = _asked_pause(answer)
            if answer.status_code not in PASSING or last or asked > LONGEST_ASKED:
                return _checked(answer)
            self.pause(max(asked, _pause(attempt)))
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        try:
            return _checked(self.http.request(method, path, **options))
        except NOT_SENT as error:
            raise self._gone(error) from error
        except httpx.TransportError as error:
            raise Unconfirmed(
                f"The answer of {self.root} was lost ({_said(error)}): what was asked may have been done, or not.",
                "Look there before you ask again.",
            ) from error

    def _gone(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"No Tunebook answers at {self.root} ({_said(error)}).",
            "Start it with `make up`, or give its address as Client(url) or TUNEBOOK_URL.",
        )


def clean_address(url: str) -> str:
    """The address without path of the API and last slash; raises Invalid for what is none.

    >>> clean_address("https://lab.example.org/tunebook/api/v1/")
    'https://lab.example.org/tunebook'
    """
    text = url.strip().rstrip("/").removesuffix("/api/v1").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not (parts.query or parts.fragment or parts.username or parts.password)
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise Invalid(f"{url!r} is no address of a Tunebook.", f"Write for example {LOCAL}.")
    return text


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left out."""
    return {name: value for name, value in values.items() if value is not None}


def decoded(answer: httpx.Response) -> Any:
    """The JSON of an answer; None where it has no body."""
    if not answer.content:
        return None
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        raise Answered(
            f"{answer.url.host} answered something that is no JSON.",
            "Is this the address of a Tunebook?",
            answer.status_code,
        ) from None


def refused(answer: httpx.Response) -> TunebookError:
    """The server's own sentences, from problem JSON or an error in OpenAI's shape."""
    status = answer.status_code
    kind = of_status(status)
    if answer.is_redirect:
        target = answer.headers.get("location", "")
        return kind(f"{answer.url} leads elsewhere ({target}).", "Give that address itself.", status)
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        problem = None
    if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
        return kind(problem["detail"], problem.get("hint") or "", status, problem.get("fields"))
    inner = problem.get("error") if isinstance(problem, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), str):
        return kind(inner["message"], "", status)
    hint = "Is this the address of a Tunebook?" if kind is NotFound else "Look at the server's log."
    return kind(f"{answer.url.host} answered {status}: {answer.text[:200]}", hint, status)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    raise refused(answer)


def _pause(attempt: int) -> float:
    # Spread, so that a class of notebooks does not come back all at once.
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.75, 1.25)


def _asked_pause(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _said(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
