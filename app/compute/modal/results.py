"""What a sandbox writes: live files from its log, all of out/ from its volume. Called through COMPUTE."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.compute._base import Site
from app.compute._container import GROWING, MARK, comes_home, take_in
from app.compute.modal.sandboxes import LONGEST_SECONDS, box_of
from app.compute.modal.sdk import files, opened, volume_name
from app.errors import Busy, Unclear

LAST_ENTRIES = 1000


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """Brings the live files home from the marked lines of the sandbox's log. What is there already is the cursor."""
    with opened(site) as (modal, client):
        box = box_of(modal, client, handle)
        if box is None:
            return
        last = _lines(box.logs.tail(LAST_ENTRIES, source="stdout"))
        if take_in(last, folder) and not _may_hide(last):
            return
        since = datetime.now(UTC) - timedelta(seconds=LONGEST_SECONDS)
        take_in(_lines(box.logs.fetch(since=since, source="stdout")), folder)


def _may_hide(last: list[str]) -> bool:
    """Whether the end of a log begins within a line, which may be the newest of a file that it tells nothing else of."""
    torn = bool(last) and not last[0].startswith(MARK)
    return torn and not all(any(f" {name} " in line for line in last[1:]) for name in GROWING)


def _lines(entries: Any) -> list[str]:
    """Whole lines of a log; entries are pieces, of which the last may be torn."""
    text = "".join(str(entry) for entry in entries)
    return text[: text.rfind("\n") + 1].splitlines()


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """Brings all of out/ home, exit_code last. Raises Gone where the volume is not there, Busy while it is not
    written."""
    with opened(site) as (modal, client):
        volume = modal.Volume.from_name(volume_name(handle["launch_key"]), client=client)
        found = {entry.path.lstrip("/").removeprefix("out/"): entry for entry in files(modal, volume)}
        if "exit_code" not in found:
            volume.hydrate()
            raise Busy(
                "The run's results do not stand in its volume yet.", "Tunebook looks again.", wait=15.0
            )
        for name in sorted(found, key=lambda name: (name == "exit_code", name)):
            if comes_home(name):
                _bring(volume, found[name], folder / "out" / name)


def _bring(volume: Any, entry: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        volume.read_file_into_fileobj(entry.path, file)
        size = file.seek(0, io.SEEK_END)
    if size != entry.size:
        part.unlink()
        raise Unclear(f"Modal sent another number of bytes of {path.name} than its list says.")
    part.replace(path)
