"""Files at Fireworks are datasets: named by their content, so that sending one again finds it. Used by this folder."""

import hashlib
from pathlib import Path
from typing import Any

from app import errors
from app.providers._openai import too_large
from app.providers._shapes import RemoteFile, TuningJob
from app.providers.fireworks.fields import LEAST_ROWS
from app.providers.fireworks.names import account, address
from app.service_http import Api
from app.service_json import mapping, text

MOST_BYTES = 2**40
# The most that the API itself takes; the published description has signed addresses alone.
DIRECT_BYTES = 150 * 10**6
UPLOAD_SECONDS = 1800.0


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part of the data; preference jobs take no second one."""
    if part != "train" and job.method == "dpo":
        return RemoteFile("not sent", raw={"note": "preference jobs take no evaluation dataset"})
    too_large(path, api.access.label, LEAST_ROWS, MOST_BYTES, part)
    return send(api, path)


def send(api: Api, path: Path) -> RemoteFile:
    """Makes the dataset and fills it, whichever of the two is not done yet."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        count = sum(1 for line in file if line.strip())
    id = f"tb-{digest[:40]}"
    name = f"{account(api)}/datasets/{id}"
    body = {"datasetId": id, "dataset": {"userUploaded": {}, "exampleCount": str(count)}}
    try:
        api.post(address(f"{account(api)}/datasets"), json=body)
    except errors.AlreadyThere:
        there = look_at(api, name)
        if there.ready or there.error:
            return there
    try:
        _fill(api, path, name)
    except errors.Refused as refused:
        # Another run with the same data, or an earlier try, may have filled it: it is ready, or still being read.
        there = look_at(api, name)
        if not there.ready and "already" not in refused.message:
            raise
        return there
    return look_at(api, name)


def _fill(api: Api, path: Path, name: str) -> None:
    """By a signed address; a smaller file, where that way is closed, through the API itself."""
    try:
        _to_signed_address(api, path, name)
    except (errors.Refused, errors.Busy):
        if path.stat().st_size > DIRECT_BYTES:
            raise
        with path.open("rb") as file:
            form = {"file": (path.name, file, "application/jsonl")}
            api.post(address(f"{name}:upload"), files=form, seconds=UPLOAD_SECONDS)


def _to_signed_address(api: Api, path: Path, name: str) -> None:
    size = path.stat().st_size
    asked = {"filenameToSize": {path.name: str(size)}}
    urls = mapping(api.post(address(f"{name}:getUploadEndpoint"), json=asked), "filenameToSignedUrls")
    url = text(urls, path.name)
    if not url:
        raise errors.Refused(f"{api.access.label} named no address for the upload.")
    # Both headers are part of what Fireworks signs.
    headers = {
        "content-type": "application/octet-stream",
        "x-goog-content-length-range": f"{size},{size}",
    }
    with path.open("rb") as file:
        api.send("PUT", url, content=file, headers=headers, seconds=UPLOAD_SECONDS)
    api.post(address(f"{name}:validateUpload"), json={})


def look_at(api: Api, name: str) -> RemoteFile:
    """Whether Fireworks has read the dataset through by now."""
    raw = mapping(api.get(address(name)))
    if text(raw, "name") != name:
        raise api.unclear("answered about another dataset")
    status = mapping(raw, "status")
    wrong = text(status, "code") not in ("", "OK")
    said = text(status, "message") or text(status, "code")
    return RemoteFile(name, ready=text(raw, "state") == "READY", error=said if wrong else "", raw=raw)


def download(api: Api, name: str, folder: Path) -> dict[str, Path]:
    """Every file of a dataset, by the name that Fireworks gives it. Signed addresses last for minutes: each call asks
    for new ones."""
    found = mapping(api.get(address(f"{name}:getDownloadEndpoint")), "filenameToSignedUrls")
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for number, (file, url) in enumerate(sorted(found.items())):
        paths[file] = folder / f"{number}.jsonl"
        if not paths[file].exists():
            _whole(api, url, paths[file])
    return paths


def _whole(api: Api, url: Any, path: Path) -> None:
    part = path.with_suffix(".part")
    api.download(str(url), part)
    part.replace(path)
