"""Runs of the application on a real host over SSH and on a real Slurm: the same answers as on this machine."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import Session, select

from app.db import session_scope
from app.lab.actor import Actor
from app.settings import machines
from app.settings.machines import NewMachine, add_machine
from app.storage import run_folder
from app.tables import JobState, MachineJob, RunState
from tests.compute.conftest import cluster, sshd  # noqa: F401
from tests.compute.slurm_cluster import Cluster
from tests.compute.ssh_server import Sshd
from tests.runs.conftest import Launch, drive
from workers.machines import check, tidy_job

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that are asked all the time."""
    known = {name: replace(one, poll_seconds=0.05) for name, one in machines.computes().items()}
    monkeypatch.setattr(machines, "computes", lambda: known)


def add(session: Session, actor: Actor, kind: str, fields: dict[str, str], secret: str = "") -> None:
    machine = add_machine(session, actor, NewMachine("place", kind, fields=fields, secret=secret))
    session.commit()
    check(machine.id)
    session.refresh(machine)
    assert machine.state == "ready", machine.note
    session.commit()


def both(launch: Launch, there: Path) -> None:
    """One run here and the same there; its folder there is gone afterwards."""
    here, away_from_here = (
        launch("baseline/tfidf-linear")[0],
        launch("baseline/tfidf-linear", compute="place")[0],
    )
    for run in drive(here, away_from_here):
        assert (run.state, run.error) == (RunState.DONE, "")
    answers = [
        [(row["item"], row["answer"]) for row in map(json.loads, path.read_text().splitlines())]
        for path in (run_folder(run) / "out" / "predictions.jsonl" for run in (here, away_from_here))
    ]
    assert answers[0] == answers[1]
    with session_scope(write=False) as session:
        job = session.exec(select(MachineJob).where(MachineJob.run_id == away_from_here)).one()
    tidy_job(job.id)
    with session_scope(write=False) as session:
        assert session.get_one(MachineJob, job.id).state == JobState.OVER
    assert list((there / "runs").iterdir()) == []


def test_a_run_over_ssh(launch: Launch, sshd: Sshd, session: Session, actor: Actor, tmp_path: Path) -> None:  # noqa: F811
    site = sshd.site(tmp_path, host_key="", trainer_python=sys.executable)
    add(session, actor, "ssh", dict(site.fields), site.secret)
    both(launch, tmp_path / "there")


def test_a_run_by_slurm(
    launch: Launch,
    cluster: Cluster,  # noqa: F811
    session: Session,
    actor: Actor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster.config))
    add(session, actor, "slurm", {"folder": str(tmp_path / "there"), "trainer_python": sys.executable})
    both(launch, tmp_path / "there")
