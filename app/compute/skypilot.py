"""SkyPilot: a machine of any cloud or Kubernetes that it can reach, made for one run and taken down after it. Reached by
its command line, which lives in an environment of its own.
"""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.compute._base import LIVE, STAYS, Checked, Compute, Field, Found, Order, Phase, Site, Status
from app.compute._calls import nothing_started
from app.compute._container import KEY, put, text_of
from app.config import settings
from app.errors import Busy, Gone, Refused, Unavailable, Unclear
from app.log import hidden
from app.service_json import number, text

# Idle so long, the machine takes itself down: time to bring results home.
IDLE_MINUTES = 10
# A launch that was asked for may be missing from the list of clusters for so long.
NEW_SECONDS = 1800.0
THERE = "sky_workdir"
PHASES = {
    "SUCCEEDED": Phase.ENDED,
    "FAILED": Phase.ENDED,
    "FAILED_SETUP": Phase.GONE,
    "FAILED_DRIVER": Phase.GONE,
    "CANCELLED": Phase.GONE,
    "RUNNING": Phase.RUNNING,
}


def _run(site: Site, argv: Sequence[str], seconds: float = 120.0, token: str = "") -> tuple[int, str, str]:
    """(code, output, what it complained about) of one command. No setting of Tunebook's own is in its environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TUNEBOOK_", "CELERY_"))
    }
    kept |= {"HF_TOKEN": token} if token else {}
    if not shutil.which(argv[0]):
        raise Unavailable(
            f"{argv[0]} is not on the machine of Tunebook.",
            "Install SkyPilot in an environment of its own (pip install 'skypilot[aws]'), and give the path of its sky.",
        )
    try:
        done = subprocess.run(
            argv,
            env=kept,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise Unclear(f"{Path(argv[0]).name} {argv[1]} did not end within {seconds:g} seconds.") from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _sky(site: Site, *words: str, seconds: float = 120.0, token: str = "") -> str:
    """What `sky` prints; Unclear where it fails."""
    code, out, err = _run(site, [settings().sky, *words], seconds, token)
    if code:
        lines = [line for line in f"{out}\n{err}".splitlines() if line.strip()]
        raise Unclear(f"sky {words[0]} failed: {hidden(' / '.join(lines[-3:]))[:500]}")
    return out


def _json(said: str, opening: str) -> Any:
    """The JSON in an answer, which hints may stand before."""
    lines = said.splitlines()
    for at, line in enumerate(lines):
        if line.startswith(opening):
            try:
                return json.loads("\n".join(lines[at:]))
            except ValueError:
                break
    raise Unclear("sky answered something that cannot be read.")


def _clusters(site: Site) -> dict[str, Mapping[str, Any]]:
    rows = _json(_sky(site, "status", "--refresh", "-o", "json", seconds=300), "[")
    return {name: row for row in rows if KEY.fullmatch(name := text(row, "name"))}


def check(site: Site) -> Checked:
    """Whether the program is there and answers."""
    version = _sky(site, "--version").strip()
    count = len(_clusters(site))
    hourly = _hourly(site)
    facts = {"gpus": [{"name": gpu}] if (gpu := text_of(site.fields, "gpu")) else []}
    note = f"{version}; {count} machines of Tunebook's, ${hourly / 1e6:.2f} an hour as entered"
    return Checked(note, {**facts, "hourly_microdollars": hourly})


def _hourly(site: Site) -> int:
    try:
        return round(float(text_of(site.fields, "hourly_dollars")) * 1_000_000)
    except ValueError:
        raise Refused("The price an hour is no number.", "Write it in dollars, such as 2.50.") from None


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Hands the task to SkyPilot, once; the machine's name is the launch key, and it comes up later."""
    gpu, infra = text_of(site.fields, "gpu"), text_of(site.fields, "infra")
    if order.gpus and not gpu:
        raise Refused("The run asks for a GPU, and this place has none.", "Enter one on its page.")
    with nothing_started():
        _clusters(site)
    path = site.folder / "tasks" / f"{order.launch_key}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    put(path, json.dumps(_task(order), indent=1).encode())
    words = ["launch", "-y", "--async", "-c", order.launch_key, "--down", "-i", str(IDLE_MINUTES)]
    words += ["--wait-for", "jobs"]
    words += ["--infra", infra] if infra else []
    words += ["--gpus", f"{gpu}:{max(order.gpus, 1)}"] if gpu else []
    words += ["--secret", "HF_TOKEN"] if order.hub_token else []
    try:
        _sky(site, *words, str(path), seconds=600, token=order.hub_token)
    finally:
        path.unlink()
    return _handle(order.launch_key, time.time())


def _task(order: Order) -> dict[str, Any]:
    """A task of SkyPilot. JSON is YAML. Its machine keeps the run's deadline, results get the minutes that are left."""
    left = order.deadline_seconds - min(IDLE_MINUTES * 60, order.deadline_seconds / 4)
    link = [f"ln -sfn ~/tunebook_base {shlex.quote(order.base.name)}"] if order.base else []
    lines = [*link, "rm -rf out; mkdir out; code=0"]
    lines += [f"timeout -k 30 {int(left)} sh run.sh --here > out/console.txt 2>&1 || code=$?"]
    lines += ["[ -f out/log.txt ] || cp out/console.txt out/log.txt"]
    lines += ['[ -f out/exit_code ] || echo "$code" > out/exit_code', 'exit "$code"']
    mounts = {"file_mounts": {"~/tunebook_base": str(order.base)}} if order.base else {}
    return {
        "name": order.launch_key,
        "workdir": str(order.folder),
        **mounts,
        "envs": {"LAUNCH_KEY": order.launch_key, "DEADLINE_SECONDS": str(int(left)), "PYTHONUNBUFFERED": "1"},
        "run": "\n".join(lines) + "\n",
    }


def _handle(launch_key: str, created_at: float) -> dict[str, Any]:
    return {"launch_key": launch_key, "created_at": created_at}


def find(site: Site, launch_key: str) -> list[Found]:
    """The machine of that name."""
    return [each for each in jobs(site) if each.launch_key == launch_key]


def jobs(site: Site) -> list[Found]:
    """All machines with a launch key as their name, the oldest first."""
    found = [
        Found(
            key,
            _handle(key, number(row, "launched_at") or 0.0),
            _told(row),
            number(row, "launched_at") or 0.0,
        )
        for key, row in _clusters(site).items()
    ]
    return sorted(found, key=lambda each: each.created_at)


def _told(row: Mapping[str, Any]) -> Status:
    state = text(row, "status")
    phases = {"UP": Phase.RUNNING, "STOPPED": Phase.GONE, "AUTOSTOPPING": Phase.GONE}
    return Status(phases.get(state, Phase.WAITING), state, text(row, "init_status_reason"))


def status(site: Site, handle: Mapping[str, Any]) -> Status:
    """The machine's state, and once it is up that of its one job."""
    key = handle["launch_key"]
    row = _clusters(site).get(key)
    if row is None:
        new = time.time() < handle["created_at"] + NEW_SECONDS
        return (
            Status(Phase.WAITING, "launching")
            if new
            else Status(Phase.GONE, "missing", "The machine is gone.")
        )
    if text(row, "status") != "UP":
        return _told(row)
    queue = _json(_sky(site, "queue", "-o", "json", key), "{").get(key) or []
    if not queue:
        return Status(Phase.WAITING, "UP", "The machine is up and gets its files.")
    state = text(queue[-1], "status")
    return Status(PHASES.get(state, Phase.WAITING), state)


def _bring(site: Site, handle: Mapping[str, Any], to: Path, names: Sequence[str] = ()) -> None:
    """Files of out/ by rsync over the connection that `sky status` has written into the SSH configuration."""
    to.mkdir(parents=True, exist_ok=True)
    only = [*(f"--include=/{name}" for name in names), "--exclude=*"] if names else []
    # What a pull has put there may be of the same second and size as what has come since.
    argv = [
        "rsync",
        "-a",
        *([] if names else ["--ignore-times"]),
        *only,
        *(f"--exclude=/{name}" for name in STAYS),
    ]
    argv += ["-e", "ssh -o BatchMode=yes -o ConnectTimeout=15"]
    code, _, err = _run(site, [*argv, f"{handle['launch_key']}:{THERE}/out/", f"{to}/"], 1800)
    if code == 23 and names:
        return  # a file that is not there yet
    if code:
        raise Busy(f"The machine's files cannot be read: {hidden(err.strip()[-300:])}")


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """The live files as far as their lines are whole; rsync sends only what is new."""
    copy = site.folder / "live" / handle["launch_key"]
    _bring(site, handle, copy, LIVE)
    (folder / "out").mkdir(parents=True, exist_ok=True)
    for name in LIVE:
        if (copy / name).exists():
            data = (copy / name).read_bytes()
            put(folder / "out" / name, data if name.endswith(".json") else data[: data.rfind(b"\n") + 1])


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """All of out/. Raises Gone where the machine is gone."""
    if handle["launch_key"] not in _clusters(site):
        raise Gone("The machine is not there any more.")
    _bring(site, handle, folder / "out")
    if not (folder / "out" / "exit_code").exists():
        raise Busy("The run's results are not written yet.", wait=15.0)


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """Ends the job; the machine goes with the release, or by itself when it was idle."""
    if status(site, handle).phase in (Phase.RUNNING, Phase.WAITING) and handle["launch_key"] in _clusters(
        site
    ):
        _sky(site, "cancel", "-y", "-a", handle["launch_key"])


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Takes the machine down and looks that it is gone."""
    key = handle["launch_key"]
    shutil.rmtree(site.folder / "live" / key, ignore_errors=True)
    if key in _clusters(site):
        _sky(site, "down", "-y", key, seconds=900)
        if key in _clusters(site):
            raise Busy(f"The machine {key} is still there.", "Tunebook takes it down again.", wait=60.0)


COMPUTE = Compute(
    name="skypilot",
    label="SkyPilot",
    description="A machine of any cloud or Kubernetes that SkyPilot reaches, taken down after the run.",
    fields=(
        Field(
            "infra",
            "Where",
            "aws, gcp/us-central1, k8s/context. Empty: the cheapest it finds.",
            required=False,
        ),
        Field("gpu", "GPU", "As SkyPilot names it: L4, A100-80GB, H100. Empty: none.", required=False),
        Field(
            "hourly_dollars",
            "Price an hour in dollars",
            "See sky gpus list. A run reserves so much for each hour until its deadline; 0 for a cluster of your own.",
        ),
    ),
    help_url="https://docs.skypilot.co",
    paid=True,
    repeatable=False,
    deadline_kept_by="timeout on the machine ends the run, and SkyPilot's own watcher there takes the machine down when "
    f"it was idle for {IDLE_MINUTES} minutes. A machine that breaks while it is set up stays, in the list of orphans.",
    unverified="Options and answers were read from SkyPilot 0.14's own code; never run against a cloud.",
    poll_seconds=30.0,
    check=check,
    submit=submit,
    find=find,
    status=status,
    pull=pull,
    fetch=fetch,
    cancel=cancel,
    release=release,
    jobs=jobs,
)
