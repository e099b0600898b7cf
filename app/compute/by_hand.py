"""By hand as compute: a person downloads the bundle, runs it anywhere, and uploads what it wrote to out/.

The job's only place is the run's own folder: the upload (app/runs/by_hand.py) puts the files there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.compute._base import Checked, Compute, Found, Order, Phase, Site, Status

SAID = "waits for you"


def _check(site: Site) -> Checked:
    return Checked("You run the bundle wherever you like and upload what came of it.")


def _submit(site: Site, order: Order) -> dict[str, Any]:
    return {"folder": str(order.folder)}


def _find(site: Site, launch_key: str) -> Sequence[Found]:
    # Nothing was ever sent anywhere.
    return []


def _status(site: Site, handle: Mapping[str, Any]) -> Status:
    over = (Path(str(handle["folder"])) / "out" / "exit_code").is_file()
    return Status(Phase.ENDED, "uploaded") if over else Status(Phase.WAITING, "by hand", SAID)


def _pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """What there is was uploaded."""


def _end(site: Site, handle: Mapping[str, Any]) -> None:
    """Nothing of ours runs there."""


def _jobs(site: Site) -> Sequence[Found]:
    return []


COMPUTE = Compute(
    name="by-hand",
    label="By hand",
    description="download the bundle or a notebook, run it anywhere (a Mac, a borrowed GPU, Colab), upload out.zip",
    fields=(),
    repeatable=True,
    deadline_kept_by="you: nothing runs that Tunebook started",
    poll_seconds=30.0,
    check=_check,
    submit=_submit,
    find=_find,
    status=_status,
    pull=_pull,
    fetch=_pull,
    cancel=_end,
    release=_end,
    jobs=_jobs,
)
