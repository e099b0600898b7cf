"""Runs from launch to end, advanced as the queue does it: real baselines, killed processes, cancels, retries."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlmodel import Session, col, select

from app.compute import local
from app.config import settings
from app.db import session_scope
from app.errors import Conflict
from app.lab.actor import Actor
from app.queue import ADVANCE_RUN
from app.runs import steps
from app.runs.prepare import prepare_bundle
from app.runs.service import cancel_run, retry_run
from app.storage import run_folder
from app.tables import FINAL, Evaluation, Prediction, RunMetric, RunState, Slot
from tests.runs.conftest import Launch, drive, read, write
from workers.runs import advance

StandIn = Callable[[str], Path]


def slots() -> list[int | None]:
    with session_scope(write=False) as session:
        return list(session.exec(select(Slot.run_id)))


def predictions(run_id: int) -> list[Prediction]:
    with session_scope(write=False) as session:
        where = select(Prediction).join(Evaluation, col(Evaluation.id) == Prediction.evaluation_id)  # type: ignore[arg-type]
        return list(session.exec(where.where(Evaluation.run_id == run_id)))


def wait_for(path: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


def test_baselines_from_launch_to_scores(launch: Launch) -> None:
    run_ids = launch("baseline/majority", "baseline/tfidf-linear")
    for run in drive(*run_ids):
        assert (run.state, run.error, run.progress, run.owner, run.kills) == (RunState.DONE, "", 1.0, None, 0)
        assert run.started_at is not None
        assert run.ended_at is not None
        assert run.created_at <= run.started_at <= run.ended_at
        assert all(row["resolved"] == row["sent"] for row in run.ledger.values())
        assert run.snapshot["environment"]["packages"]["scikit-learn"]
        assert run.snapshot["usage"]["train_seconds"] >= 0
        assert len(predictions(run.id or 0)) == 12
        assert len({prediction.number for prediction in predictions(run.id or 0)}) == 12
    assert slots() == [None]


def test_advancing_what_has_ended_changes_nothing(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    (before,) = drive(run_id)
    advance(run_id)
    advance(987_654)
    assert read(run_id).model_dump() == before.model_dump()


def test_two_workers_at_once_start_one_process(launch: Launch, stand_in: StandIn) -> None:
    starts = stand_in("exec sleep 600")
    (run_id,) = launch("baseline/majority")
    workers = [threading.Thread(target=advance, args=(run_id,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for _ in range(5):
        advance(run_id)
    wait_for(starts)
    assert read(run_id).state == RunState.TRAINING
    assert starts.read_text() == ".\n"


def test_runs_wait_in_order_and_the_next_is_nudged(
    launch: Launch, stand_in: StandIn, sent: list[tuple[str, int]]
) -> None:
    stand_in('echo 0 > "$OUT/exit_code"')
    first, second, third = launch("baseline/char-trees", seeds=(1, 2, 3))
    assert [row for task, row in sent if task == ADVANCE_RUN] == [first]
    advance(third)
    advance(second)
    assert read(third).progress_note == "waits for this machine, 2 before it"
    assert [read(row).state for row in (second, third)] == [RunState.QUEUED, RunState.QUEUED]
    advance(first)
    assert slots() == [first]
    sent.clear()
    drive(first)
    assert sent == [(ADVANCE_RUN, second)]
    assert read(second).due_at is None
    advance(third)
    assert read(third).state == RunState.QUEUED
    advance(second)
    assert slots() == [second]


def test_a_process_that_fails_says_why(launch: Launch, stand_in: StandIn) -> None:
    said = json.dumps({"message": "The machine ran out of memory.", "hint": "Take a smaller batch."})
    stand_in(f'echo \'{said}\' > "$OUT/error.json"\necho 1 > "$OUT/exit_code"')
    (run,) = drive(*launch("baseline/majority"))
    assert (run.state, run.error, run.hint) == (
        RunState.FAILED, "The machine ran out of memory.", "Take a smaller batch.",
    )  # fmt: skip
    assert slots() == [None]


def test_a_process_that_ends_well_without_predictions_is_a_failure(launch: Launch, stand_in: StandIn) -> None:
    stand_in('echo 0 > "$OUT/exit_code"')
    (run,) = drive(*launch("baseline/majority"))
    assert run.state == RunState.FAILED
    assert run.error.startswith("12 of 12 test items have no prediction")


def test_a_python_that_is_not_there_fails_the_run(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_TRAINER_PYTHON", "/no/such/python")
    settings.cache_clear()
    (run,) = drive(*launch("baseline/majority"))
    assert run.state == RunState.FAILED
    assert "/no/such/python" in run.error
    assert "TUNEBOOK_TRAINER_PYTHON" in run.hint
    assert slots() == [None]


def test_killed_eight_times_without_getting_further(launch: Launch, stand_in: StandIn) -> None:
    """Each start gets as far as the one before: that is no progress, though progress.json moves."""
    starts = stand_in(
        'echo \'{"stage": "training", "fraction": 0.5}\' > "$OUT/progress.json"; sleep 0.1; kill -9 $$'
    )
    (run,) = drive(*launch("baseline/majority"))
    assert run.state == RunState.FAILED
    assert run.error == "The process was killed 8 times in a row before it got any further."
    assert run.hint
    assert starts.read_text().count(".") == 8
    assert slots() == [None]


def test_a_process_that_gets_further_each_time_is_started_again(launch: Launch, stand_in: StandIn) -> None:
    starts = stand_in(
        'echo "{\\"stage\\": \\"training\\", \\"fraction\\": 0.0$STARTS}" > "$OUT/progress.json"\n'
        'if [ $STARTS -gt 9 ]; then echo 1 > "$OUT/exit_code"; exit 1; fi\nkill -9 $$'
    )
    (run,) = drive(*launch("baseline/majority"))
    assert run.error == "The process ended with code 1."
    assert starts.read_text().count(".") == 10


@pytest.mark.laptop
def test_a_real_run_goes_on_after_kills(launch: Launch) -> None:
    (run_id,) = launch("baseline/char-trees", trees=20)
    for _ in range(2):
        (run,) = drive(run_id, until=(RunState.TRAINING,))
        # On a busy machine it may have ended by itself meanwhile.
        with suppress(psutil.NoSuchProcess):
            psutil.Process(run.handle["pid"]).kill()
    (run,) = drive(run_id)
    assert run.state == RunState.DONE
    assert len(predictions(run_id)) == 12


@pytest.mark.laptop
def test_a_process_started_by_a_worker_that_died_is_adopted(launch: Launch) -> None:
    """The worker was killed between the start of the process and its commit."""
    (run_id,) = launch("baseline/char-trees", trees=20)
    run = write(run_id, state=RunState.SUBMITTING)
    prepare_bundle(run)
    handle = local.submit(run_folder(run_id), sys.executable, 600, run.launch_key)
    os.kill(handle["pid"], signal.SIGSTOP)
    advance(run_id)
    assert read(run_id).handle["pid"] == handle["pid"]
    os.kill(handle["pid"], signal.SIGCONT)
    (run,) = drive(run_id)
    assert (run.state, run.handle["pid"]) == (RunState.DONE, handle["pid"])


def test_an_end_that_nobody_saw_is_found(launch: Launch) -> None:
    """Everything of Tunebook was down while the process ended."""
    (run_id,) = launch("baseline/majority")
    run = write(run_id, state=RunState.SUBMITTING)
    prepare_bundle(run)
    local.submit(run_folder(run_id), sys.executable, 600, run.launch_key)
    wait_for(run_folder(run_id) / "out" / "exit_code")
    (run,) = drive(run_id)
    assert run.state == RunState.DONE
    assert not run.handle


@pytest.mark.laptop
def test_cancel_ends_what_does_not_listen(
    launch: Launch, stand_in: StandIn, session: Session, actor: Actor
) -> None:
    starts = stand_in("trap '' TERM; sleep 600 & wait")
    (run_id,) = launch("baseline/majority")
    (run,) = drive(run_id, until=(RunState.TRAINING,))
    wait_for(starts)
    cancel_run(session, actor, run_id)
    session.commit()
    advance(run_id)
    assert read(run_id).state == RunState.CANCELLED
    assert slots() == [None]
    assert not [p for p in psutil.process_iter() if local._key(p) == run.launch_key and local._lives(p)]


@pytest.mark.parametrize("state", [state for state in RunState if state not in FINAL])
def test_cancel_in_every_state(
    launch: Launch, stand_in: StandIn, session: Session, actor: Actor, state: RunState
) -> None:
    starts = stand_in("exec sleep 600")
    (run_id,) = launch("baseline/majority")
    if state != RunState.QUEUED:
        (run,) = drive(run_id, until=(RunState.TRAINING,))
        wait_for(starts)
        write(run_id, state=state)
    cancel_run(session, actor, run_id)
    session.commit()
    advance(run_id)
    run = read(run_id)
    assert run.state == RunState.CANCELLED
    assert run.ended_at is not None
    with pytest.raises(Conflict, match="cancelled already"):
        cancel_run(session, actor, run_id)
    session.rollback()
    if state not in (RunState.QUEUED, RunState.PAUSED):
        assert slots() == [None]
        assert local.status(run.handle, run_folder(run_id)) == "killed"
        assert not [p for p in psutil.process_iter() if local._key(p) == run.launch_key and local._lives(p)]


@pytest.mark.laptop
def test_retry_starts_the_same_run_again(
    launch: Launch, stand_in: StandIn, session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in('echo \'{"step": 1, "loss": 2}\' > "$OUT/metrics.jsonl"; echo 1 > "$OUT/exit_code"')
    (run_id,) = launch("baseline/char-trees", trees=20)
    (failed,) = drive(run_id)
    assert failed.state == RunState.FAILED
    monkeypatch.setenv("TUNEBOOK_TRAINER_PYTHON", sys.executable)
    settings.cache_clear()
    retry_run(session, actor, run_id)
    session.commit()
    run = read(run_id)
    assert (run.state, run.error, run.kills, run.furthest, run.handle) == (RunState.QUEUED, "", 0, 0, {})
    assert run.ledger["trees"] == {"asked": 20, "sent": 20, "resolved": None, "source": "you"}
    assert not run_folder(run_id).exists()
    with pytest.raises(Conflict, match="queued; only a failed or cancelled"):
        retry_run(session, actor, run_id)
    session.rollback()
    (run,) = drive(run_id)
    assert (run.state, run.launch_key) == (RunState.DONE, failed.launch_key)
    assert len(predictions(run_id)) == 12


def test_curves_are_stored_in_full_and_replaced_when_steps_come_again(
    launch: Launch, stand_in: StandIn
) -> None:
    starts = stand_in("exec sleep 600")
    (run_id,) = launch("baseline/majority")
    drive(run_id, until=(RunState.TRAINING,))
    wait_for(starts)
    path = run_folder(run_id) / "out" / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}, "loss": 1.0}}\n' for step in range(1, 9)) + '{"step": 9, "lo')
    advance(run_id)
    with path.open("a") as file:
        file.write('ss": 9.0}\n{"step": 3, "loss": 3.0}\n')
        # More than one piece.
        file.writelines(
            f'{{"step": {step}, "loss": 4.0, "learning_rate": 0.1}}\n' for step in range(4, 12_000)
        )
    (run_folder(run_id) / "out" / "exit_code").write_text("1\n")
    local.cancel(read(run_id).handle, grace_seconds=0)
    drive(run_id)
    with session_scope(write=False) as session:
        rows = session.exec(select(RunMetric.step, RunMetric.value).where(RunMetric.name == "loss")).all()
    losses = dict(rows)
    assert len(losses) == 11_999
    assert [losses[step] for step in (1, 2, 3, 4, 9, 11_999)] == [1.0, 1.0, 3.0, 4.0, 4.0, 4.0]


def test_a_long_queue_is_looked_at_rarely() -> None:
    looks_per_second = sum(1 / steps.wait_seconds(before) for before in range(1000))
    assert looks_per_second < 10
    assert steps.wait_seconds(0) < 2
    assert steps.wait_seconds(10**6) <= 600
