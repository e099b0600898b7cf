"""A stand-in for another machine, whose answers get lost: for tests of runs that are not on this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from app.compute._base import Checked, Compute, Found, Order, Phase, Site, Status
from app.config import settings
from app.db import session_scope
from app.errors import Busy, Refused, Unclear
from app.lab.actor import Actor
from app.settings import machines
from app.settings.machines import NewMachine, add_machine
from app.tables import MachineJob
from workers.machines import check


class Host:
    """A host in a folder: jobs are subprocesses of `sh run.sh --here`. `lost`, `refuse` and `away` break its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.submits, self.released = folder, 0, 0
        self.lost_before = self.lost_after = self.refuse = self.away = False
        self.jobs_here: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, site: Site, order: Order) -> dict[str, Any]:
        if self.refuse:
            raise Refused("The host has no room.", "Free some.")
        if self.lost_before:
            raise Unclear("The answer was lost.")
        self.submits += 1
        place = self.folder / order.launch_key
        subprocess.run(["cp", "-r", str(order.folder), str(place)], check=True)
        self.jobs_here[order.launch_key] = subprocess.Popen(
            ["sh", "run.sh", "--here"],
            cwd=place,
            env=os.environ | {"PYTHON": sys.executable, "LAUNCH_KEY": order.launch_key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self.lost_after:
            raise Unclear("The answer was lost.")
        return {"key": order.launch_key}

    def find(self, site: Site, key: str) -> list[Found]:
        self._answer()
        there = (self.folder / key).is_dir()
        return [Found(key, {"key": key}, self.status(site, {"key": key}))] if there else []

    def status(self, site: Site, handle: Mapping[str, Any]) -> Status:
        self._answer()
        over = (self.folder / str(handle["key"]) / "out" / "exit_code").is_file()
        return Status(Phase.ENDED if over else Phase.RUNNING, "over" if over else "busy")

    def fetch(self, site: Site, handle: Mapping[str, Any], folder: Path) -> None:
        self._answer()
        subprocess.run(
            ["cp", "-r", f"{self.folder / str(handle['key'])}/out/.", str(folder / "out")], check=True
        )

    def end(self, site: Site, handle: Mapping[str, Any]) -> None:
        self._answer()

    def release(self, site: Site, handle: Mapping[str, Any]) -> None:
        self._answer()
        self.released += 1
        # What still writes into the folder would make its removal fail.
        if process := self.jobs_here.pop(str(handle["key"]), None):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(["rm", "-rf", str(self.folder / str(handle["key"]))], check=True)

    def jobs(self, site: Site) -> list[Found]:
        self._answer()
        return [found for place in self.folder.iterdir() for found in self.find(site, place.name)]

    def _answer(self) -> None:
        if self.away:
            raise Busy("The host does not answer.", wait=0.0)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The one machine named "bench"."""
    there = tmp_path / "there"
    there.mkdir()
    host = Host(there)
    compute = Compute(
        name="stand-in", label="Stand-in", description="a folder", fields=(), deadline_kept_by="nobody",
        poll_seconds=0.01, check=lambda site: Checked("It is there.", {"gpus": []}), submit=host.submit, find=host.find,
        status=host.status, pull=lambda site, handle, folder: None, fetch=host.fetch, cancel=host.end,
        release=host.release, jobs=host.jobs,
    )  # fmt: skip
    known = {
        **machines.computes(),
        "stand-in": compute,
        "safe": replace(compute, name="safe", repeatable=True),
    }
    monkeypatch.setattr(machines, "computes", lambda: known)
    monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", "0,0.01")
    settings.cache_clear()
    return host


def add(session: Session, actor: Actor, kind: str = "stand-in", slots: int = 2) -> int:
    machine = add_machine(session, actor, NewMachine("bench", kind, slots=slots))
    session.commit()
    check(machine.id)
    session.refresh(machine)
    assert (machine.state, machine.note) == ("ready", "It is there.")
    machine_id = machine.id or 0
    session.commit()
    return machine_id


def job(run_id: int) -> MachineJob:
    with session_scope(write=False) as session:
        return session.exec(select(MachineJob).where(MachineJob.run_id == run_id)).one()
