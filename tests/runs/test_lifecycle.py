"""The table of allowed moves, every pair of it, against the database."""

import pytest
from sqlmodel import Session

from app.runs.lifecycle import MOVES, move
from app.tables import ACTIVE, FINAL, Run, RunState
from tests.runs.conftest import Launch, read, write


@pytest.mark.laptop
@pytest.mark.parametrize("before", RunState)
def test_every_pair_of_states(launch: Launch, session: Session, before: RunState) -> None:
    (run_id,) = launch("baseline/majority")
    for to in RunState:
        run = write(run_id, state=before, progress=0.5, progress_note="x", error="", ended_at=None)
        if to in MOVES[before]:
            assert move(session, run, to, error="why")
            session.commit()
            moved = read(run_id)
            assert (moved.state, moved.progress, moved.progress_note, moved.error) == (to, 0.0, "", "why")
            assert (moved.ended_at is not None) == (to in FINAL)
        else:
            with pytest.raises(ValueError, match=f"from {before} to {to}"):
                move(session, run, to)
            session.rollback()
            assert read(run_id).state == before


def test_a_stale_copy_moves_nothing(launch: Launch, session: Session) -> None:
    (run_id,) = launch("baseline/majority")
    stale = read(run_id)
    write(run_id, state=RunState.CANCELLED)
    assert not move(session, stale, RunState.PREPARING)
    session.commit()
    assert read(run_id).state == RunState.CANCELLED


def test_a_run_of_the_session_shows_its_new_state(launch: Launch, session: Session) -> None:
    run = session.get_one(Run, launch("baseline/majority")[0])
    assert move(session, run, RunState.PREPARING, progress_note="writing")
    assert (run.state, run.progress_note) == (RunState.PREPARING, "writing")


def test_every_active_state_can_be_ended() -> None:
    for state in (*ACTIVE, RunState.PAUSED):
        assert RunState.CANCELLED in MOVES[state]
        assert RunState.FAILED in MOVES[state]
    assert set(MOVES) == set(RunState)
