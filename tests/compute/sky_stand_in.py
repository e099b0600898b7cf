"""Takes the place of the programs `sky` and `ssh`: clusters are folders below $SKY_STATE, their job really runs there.
Run as a program by its tests; prints what SkyPilot 0.14 prints.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

STATE = Path(os.environ.get("SKY_STATE", "/nowhere"))


def launch(asked: argparse.Namespace) -> int:
    """Makes a cluster and starts its task."""
    with (STATE / "launches").open("a") as file:
        file.write(json.dumps(vars(asked)) + "\n")
    fault = (STATE / "fault").read_text() if (STATE / "fault").exists() else ""
    if fault == "refuse":
        print("sky.exceptions.ResourcesUnavailableError: no L4 anywhere", file=sys.stderr)
        return 1
    task, place = json.loads(Path(asked.task).read_text()), STATE / asked.cluster
    shutil.copytree(task["workdir"], place / "sky_workdir")
    for target, source in task.get("file_mounts", {}).items():
        shutil.copytree(source, place / target.replace("~/", ""))
    variables = {**task["envs"], "HOME": str(place), "PATH": os.environ["PATH"]}
    variables |= {name: os.environ[name] for name in asked.secret}
    log = (place / "log").open("wb")
    where = place / "sky_workdir"
    line = task["run"] + ""
    code = f"({line})\necho $? > {place}/code"
    job = subprocess.Popen(
        ["bash", "-c", code], cwd=where, env=variables, stdout=log, stderr=log, start_new_session=True
    )
    (place / "pid").write_text(str(job.pid))
    return 1 if fault == "lose" else 0


def rows() -> list[dict]:
    """As StatusResponse."""
    return [
        {
            "name": place.name,
            "launched_at": int(place.stat().st_mtime),
            "status": "UP",
            "autostop": 10,
            "to_down": True,
        }
        for place in sorted(STATE.iterdir())
        if place.is_dir()
    ]


def job_of(place: Path) -> str:
    """Its status."""
    if (place / "cancelled").exists():
        return "CANCELLED"
    if not (place / "code").exists():
        return "RUNNING"
    return "SUCCEEDED" if (place / "code").read_text().strip() == "0" else "FAILED"


def end(place: Path) -> None:
    """Kills its job, with what `timeout` started in a group of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(int((place / "pid").read_text()))
        for process in [*first.children(recursive=True), first]:
            process.kill()


def parser() -> argparse.ArgumentParser:
    """Only the options that the real program has, as a slow test sees to."""
    made = argparse.ArgumentParser(prog="sky")
    made.add_argument("--version", action="version", version="skypilot, version 0.14.1")
    commands = made.add_subparsers(dest="command")
    launching = commands.add_parser("launch")
    for flag in ("-y", "--async", "--down"):
        launching.add_argument(flag, action="store_true")
    launching.add_argument("-c", dest="cluster")
    for option in ("-i", "--wait-for", "--infra", "--gpus"):
        launching.add_argument(option)
    launching.add_argument("--secret", action="append", default=[])
    launching.add_argument("task")
    status = commands.add_parser("status")
    status.add_argument("--refresh", action="store_true")
    status.add_argument("-o")
    queue = commands.add_parser("queue")
    queue.add_argument("-o")
    queue.add_argument("cluster")
    for name, flags in (("cancel", ("-y", "-a")), ("down", ("-y",))):
        ending = commands.add_parser(name)
        for flag in flags:
            ending.add_argument(flag, action="store_true")
        ending.add_argument("cluster")
    return made


def main() -> int:
    """One call of `sky`."""
    asked = parser().parse_args()
    if asked.command == "launch":
        return launch(asked)
    if asked.command == "status":
        print("Refreshing the status\n" + json.dumps(rows(), indent=2))
        return 0
    place = STATE / asked.cluster
    if asked.command == "queue":
        row = {"job_id": 1, "job_name": asked.cluster, "status": job_of(place), "submitted_at": time.time()}
        print(json.dumps({asked.cluster: [row]}, indent=2))
    if asked.command == "cancel":
        (place / "cancelled").touch()
        end(place)
    if asked.command == "down" and not (STATE / "stays").exists():
        end(place)
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
