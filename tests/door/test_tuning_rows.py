"""Tuning jobs among other rows: what a restore does to them, and the budget of the token that asked."""

import pytest
from sqlmodel import Session

from app.clock import now
from app.door.token_money import token_left
from app.lab.actor import Actor
from app.runs.restored import hold_back
from app.tables import DoorFile, DoorJob, Reservation, Token
from tests.door.conftest import add_run

pytestmark = pytest.mark.laptop


def add_file(session: Session, actor: Actor) -> DoorFile:
    """A file's row alone."""
    made = DoorFile(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        public_id="file-x",
        purpose="fine-tune",
        name="x",
        path="x",
        size_bytes=1,
        sha256="",
    )
    session.add(made)
    session.flush()
    return made


def test_a_restore_launches_no_paid_job_of_the_past(session: Session, actor: Actor) -> None:
    file = add_file(session, actor)
    made = [
        DoorJob(
            project_id=actor.project_id,
            maker_id=actor.member_id,
            public_id=f"ftjob-{model}",
            training_file_id=file.id or 0,
            model=model,
            seed=1,
            owner="a machine that is gone",
        )
        for model in ("together/some-model", "starter/tiny")
    ]
    session.add_all(made)
    session.flush()
    hold_back(session, "2026-11-25")
    for row in made:
        session.refresh(row)
    assert [row.state for row in made] == ["failed", "validating_files"]
    assert "Look at the service's list of jobs" in made[0].error
    assert made[1].owner is None


def test_the_budget_of_a_token_counts_its_tuning_jobs(session: Session, actor: Actor) -> None:
    run = add_run(session, actor, "together/some-model")
    token = Token(kind="api", digest="x", member_id=actor.member_id, budget_microdollars=1_000_000)
    session.add(token)
    file = add_file(session, actor)
    assert token_left(session, token.id) == 1_000_000
    reserved = Reservation(
        project_id=actor.project_id,
        experiment_id=run.experiment_id,
        run_id=run.id or 0,
        member_id=actor.member_id,
        provider="together",
        reserved_microdollars=800_000,
        created_at=now(),
    )
    job = DoorJob(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        public_id="ftjob-x",
        training_file_id=file.id or 0,
        model=run.model,
        seed=1,
        run_id=run.id,
        token_id=token.id,
    )
    session.add_all([reserved, job])
    session.flush()
    assert token_left(session, token.id) == 200_000
    assert token_left(session, None) is None
