"""What goes to a run's folder on another machine and comes back from it. Used by ssh.py and slurm."""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.compute._base import LIVE, STAYS, Order, Site
from app.compute._calls import nothing_started
from app.compute._host import Host, ask
from app.compute._ssh_copy import bring, copy_here, send
from app.errors import AlreadyThere, Gone, Refused, TunebookError

LEAVE_OUT = ("/out", "/here.json", "__pycache__", "*.pyc")
LAST_BYTES = 256  # as in _there_steps.py


def upload(host: Host, site: Site, order: Order) -> dict[str, Any]:
    """Brings the bundle, and base weights once, into a folder there that is not the run's yet. The answer is that of
    the step `stage`. Nothing runs afterwards, whatever happened. Raises AlreadyThere when the key is taken."""
    digest = digest_of(order.base, site.folder) if order.base else ""
    wish = {"root": host.folder, "key": order.launch_key, "nonce": secrets.token_hex(4), "digest": digest}
    with nothing_started():
        staged: dict[str, Any] = ask(host, ("stage", wish))[0]
        if staged["there"]:
            raise AlreadyThere(f"{order.launch_key} is on {host.name} already.", "It is found by its key.")
        with dropped_after_refusal(host, staged):
            if order.base and not staged["base_there"]:
                _copy(host, staged, order.base, staged["base"] + ".part", ())
                ask(host, ("keep_base", {"base": staged["base"]}))
            leave_out = (*LEAVE_OUT, *((f"/{order.base.name}",) if order.base else ()))
            _copy(host, staged, order.folder, staged["staging"] + "/bundle", leave_out)
    staged["links"] = {order.base.name: staged["base"]} if order.base else {}
    return staged


def _copy(host: Host, staged: Mapping[str, Any], source: Path, to: str, leave_out: Sequence[str]) -> None:
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    if size > staged["free_bytes"]:
        needed, free = size / 1e9, staged["free_bytes"] / 1e9
        raise Refused(
            f"{source.name} needs {needed:.1f} GB, and {host.name} has {free:.1f} GB free.",
            "Make room there.",
        )
    if host.target:
        send(host.target, source, to, leave_out, staged["rsync"])
    else:
        copy_here(source, Path(to), leave_out)


@contextmanager
def dropped_after_refusal(host: Host, staged: Mapping[str, Any]) -> Iterator[None]:
    """What was uploaded goes away again when the place says no; after a lost connection a later call clears it."""
    try:
        yield
    except Refused:
        with suppress(TunebookError):
            ask(host, ("drop", {"staging": staged["staging"]}))
        raise


def start_lines(fields: Mapping[str, str], place: str) -> list[str]:
    """Lines of shell: what was entered to come before each run, then the bundle. `place`: the run's folder there."""
    root, bundle = place.rpartition("/runs/")[0], shlex.quote(f"{place}/bundle")
    python, ready = fields.get("python", "").strip(), fields.get("trainer_python", "").strip()
    lines = ["set -e", f"cd {bundle}"]
    # Where there is a place for environments, the run makes its own.
    lines += (
        ["unset ENVIRONMENTS"] if ready else [f"export ENVIRONMENTS={shlex.quote(root + '/environments')}"]
    )
    if python:
        # A name that leads to it: a link would lead an environment's Python out of its environment.
        lines += [f"mkdir -p {shlex.quote(place + '/bin')}"]
        script = f'#!/bin/sh\nexec {shlex.quote(python)} "$@"'
        lines += [f"printf '%s\\n' {shlex.quote(script)} > {shlex.quote(place + '/bin/python3')}"]
        lines += [f"chmod +x {shlex.quote(place + '/bin/python3')}"]
        lines += [f'export PATH={shlex.quote(place + "/bin")}:"$PATH"']
    lines += [f"export PYTHON={shlex.quote(ready)}"] if ready else []
    lines += fields.get("setup", "").replace("\r\n", "\n").strip().splitlines()
    return [*lines, f"cd {bundle}"]


def handle(launch_key: str, place: str, rsync: bool, **more: str) -> dict[str, Any]:
    """By which a run is met again; small JSON."""
    return {"launch_key": launch_key, "folder": place, "rsync": rsync, **more}


def digest_of(base: Path, folder: Path) -> str:
    """SHA-256 over names and contents of base weights; remembered in `folder` as long as no file of them changes."""
    files = sorted(path for path in base.rglob("*") if path.is_file())
    seen = [(str(path.relative_to(base)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / f"base-{hashlib.sha256(str(base.resolve()).encode()).hexdigest()[:16]}.json"
    state = json.dumps(seen)
    with suppress(OSError, ValueError, KeyError):
        known = json.loads(kept.read_text())
        if known["state"] == state:
            return str(known["digest"])
    whole = hashlib.sha256()
    for path, (name, _, _) in zip(files, seen, strict=True):
        with path.open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    part = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}")
    part.write_text(json.dumps({"state": state, "digest": whole.hexdigest()}))
    part.replace(kept)
    return whole.hexdigest()


def pull(host: Host, run: Mapping[str, Any], folder: Path) -> None:
    """Brings what has come to the live files, in one call. Two at once write each line once."""
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    wishes = [_wish(out / name) for name in LIVE]
    for piece in ask(host, ("pieces", {"place": run["folder"], "files": wishes}))[0]:
        if piece["name"] in LIVE:
            _take(out / piece["name"], piece["offset"], base64.b64decode(piece["data"]))


def _wish(path: Path) -> dict[str, Any]:
    size, last = 0, b""
    if path.exists():
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LAST_BYTES))
            last = file.read(min(size, LAST_BYTES))
    whole = path.suffix == ".json"
    return {"name": path.name, "offset": size, "last": hashlib.sha256(last).hexdigest(), "whole": whole}


def _take(path: Path, offset: int, data: bytes) -> None:
    if offset == 0:
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        part.write_bytes(data)
        part.replace(path)
    elif data:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END) == offset:
                file.write(data)


def fetch(host: Host, run: Mapping[str, Any], folder: Path) -> None:
    """Brings out/ home whole. Raises Gone when the run's folder is not there any more."""
    if not ask(host, ("record", {"place": run["folder"]}))[0]["is_there"]:
        raise Gone(f"{run['folder']} is not on {host.name} any more.")
    leave_out, source = [f"/{name}" for name in STAYS], f"{run['folder']}/bundle/out"
    if host.target:
        bring(host.target, source, folder / "out", leave_out, bool(run.get("rsync")))
    else:
        copy_here(Path(source), folder / "out", leave_out)
