"""What a job writes: live files from its log, all of out/ from its bucket. Called through COMPUTE."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from app.compute._base import Site
from app.compute._container import comes_home, put, take_in
from app.compute.huggingface_jobs import hub
from app.errors import Busy
from app.service_http import Api
from app.service_json import text

# The stream replays what was logged and then waits for more: after so long a silence the rest is still to happen.
SILENCE_SECONDS = 2.0
MOST_SECONDS = 30.0
# The last lines are asked for first; the whole log only where that leaves a gap.
LAST_LINES = 1000


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """Brings the live files home from the marked lines of the job's log. What is there already is the cursor."""
    if not handle.get("id"):
        return
    with hub.hub(site) as api:
        if not take_in(_log(api, handle, LAST_LINES), folder):
            take_in(_log(api, handle, None), folder)


def _log(api: Api, handle: Mapping[str, Any], last: int | None) -> list[str]:
    """Lines of the log. A stream that breaks has told what it told: the next pull goes on from there."""
    path = f"api/jobs/{handle['namespace']}/{quote(str(handle['id']), safe='')}/logs"
    url, end = api.url(path), time.monotonic() + MOST_SECONDS
    lines: list[str] = []
    timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
    params = {"tail": last} if last else None
    with (
        suppress(httpx.TransportError),
        api.client.stream("GET", url, headers=api.own_headers(url), timeout=timeout, params=params) as answer,
    ):
        if answer.status_code != 200:
            answer.read()
            if answer.status_code == 404:
                # A job that has not started has no log yet.
                return lines
            raise api.failure(answer)
        for line in answer.iter_lines():
            if line.startswith("data:"):
                lines.append(_said(line[5:]))
            if time.monotonic() > end:
                break
    return lines


def _said(data: str) -> str:
    try:
        return text(msgspec.json.decode(data), "data")
    except (msgspec.DecodeError, AttributeError):
        return ""


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """Brings all of out/ home, exit_code last. Raises Busy while the bucket does not hold it yet, Gone where the
    bucket is not there any more."""
    bucket = f"{handle['namespace']}/tunebook-{handle['launch_key']}"
    with hub.hub(site) as api:
        found = {path.removeprefix("out/"): size for path, size in hub.files_in(api, bucket, "out")}
        if "exit_code" not in found:
            api.get(f"api/buckets/{bucket}")
            raise Busy(
                "The job's results do not stand in its bucket yet.", "Tunebook looks again.", wait=15.0
            )
        for name in sorted(found, key=lambda name: (name == "exit_code", name)):
            if comes_home(name):
                _download(api, bucket, name, found[name], folder / "out" / name)


def _download(api: Api, bucket: str, name: str, size: int, path: Path) -> None:
    if path.exists() and path.stat().st_size == size and name.endswith(".safetensors"):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if not size:
        return put(path, b"")
    part = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):
        if part.stat().st_size > size:
            part.unlink()
    if api.download(hub.file_url(bucket, f"out/{name}"), part) != size:
        part.unlink()
        raise api.unclear(f"sent another number of bytes of {name} than its list says")
    part.replace(path)
    return None
