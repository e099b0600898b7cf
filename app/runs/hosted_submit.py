"""The step that starts a paid job, at most once: files first, then one create whose answer is recorded or looked for.

`sent=sending` is committed before the create leaves. Whoever finds it so has no answer: see hosted_look.py.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from app.clock import in_seconds, now
from app.config import settings
from app.db import sync_to_disk
from app.errors import AlreadyThere, Busy, Invalid, ProviderError, Refused, Unclear
from app.lab.reservations import cover, to_reserve
from app.providers._base import Training
from app.providers._shapes import ENDED, RemoteJob, TuningJob
from app.runs.hosted import (
    PAUSING,
    Save,
    job_row,
    must_wait,
    open_job,
    pause,
    provider_of,
    put,
    put_off,
    set_run,
    training_of,
)
from app.runs.hosted_files import service_folder, write_raw
from app.runs.hosted_prepare import SENT_PARTS, tuning_job
from app.runs.lifecycle import move
from app.service_http import Api
from app.storage import run_folder
from app.tables import RemoteJobRow, Run, RunState, Sent

# A worker that was stopped longer than this between its commit and the call may not be the only one any more.
FRESH_SECONDS = 5.0
FILE_SECONDS = 3.0
ENDED_UNHEARD = "The create was sent by a process that ended before its answer came."
RESTORED = (
    "Restored from a backup: the server that made it may have created this run's job afterwards. It is looked for, and "
    "not created again meanwhile."
)


def submitting(run: Run, save: Save) -> None:
    """Files, price, then the create; what is done already is skipped."""
    row = job_row(run)
    if row.sent != Sent.NO:
        _go_on(run, save, row)
        return
    if must_wait(run, row, save):
        return
    training, job = training_of(run.model), tuning_job(run, row)
    problems = training.problems(job)
    if problems:
        raise Invalid(problems[0], "Clone the run and change what is named.")
    try:
        with open_job(run, row) as api:
            files = _send_files(run, save, row, training, api, job)
            if files is None:
                return
            if not row.checked:
                _ask_first(run, save, training, api, job, files)
            _create(run, save, row, training, api, job, files)
    except PAUSING as error:
        pause(run, save, error)
    except (Busy, Unclear) as error:
        # Nothing that costs money was under way: _create() keeps its own errors.
        put_off(run, save, row, error)
    except Refused as error:
        refuse(run, save, error)


def _go_on(run: Run, save: Save, row: RemoteJobRow) -> None:
    with save() as session:
        if row.sent == Sent.YES:
            move(session, run, RunState.TRAINING)
        elif row.sent == Sent.SENDING:
            # Without a create of its own it was restored in this state: see restored.py.
            lost(session, run, ENDED_UNHEARD if row.creates else RESTORED)
        else:
            move(session, run, RunState.FAILED, error=run.error or row.trouble)


def refuse(run: Run, save: Save, error: ProviderError, **values: Any) -> None:
    """The service said no: the run has failed with its sentence."""
    with save() as session:
        put(session, run, trouble=error.message[:1000], **values)
        hint = error.hint or "Clone the run, change what the service names, and launch it again."
        move(session, run, RunState.FAILED, error=error.message[:2000], hint=hint[:2000])


def lost(session: Any, run: Run, why: str) -> None:
    """Nobody knows whether the create took effect: from now on the job is looked for."""
    put(session, run, looks=0, failures=0, wait_until=None, not_confirmed=False, trouble=why[:1000])
    move(session, run, RunState.UNKNOWN, progress_note="looks for its job at the service", error=why[:2000])


def _send_files(
    run: Run, save: Save, row: RemoteJobRow, training: Training, api: Api, job: TuningJob
) -> dict[str, str] | None:
    """{part: id} once the service has accepted all files; None while it still reads one."""
    stored = dict(row.files)
    for part in SENT_PARTS:
        path = service_folder(run_folder(run.id or 0)) / f"{part}.jsonl"
        if not job.counts.get(part) or (stored.get(part) or {}).get("ready"):
            continue
        known = stored.get(part)
        if known and training.look_at_file:
            file = training.look_at_file(api, known["id"])
        else:
            file = training.upload(api, path, part, job)
        if file.error:
            raise Refused(f"{api.access.label} refused the {part} file: {file.error}")
        digest = known["sha256"] if known else _sha256(path)
        stored[part] = {"id": file.id, "sha256": digest, "ready": file.ready or not training.look_at_file}
        with save() as session:
            put(session, run, files=stored, failures=0, trouble="")
            note = f"{api.access.label} reads the {part} file"
            seconds = settings().remote_poll_seconds
            set_run(
                session,
                run,
                progress_note=note,
                due_at=in_seconds(seconds if known else min(FILE_SECONDS, seconds)),
            )
        if not stored[part]["ready"]:
            return None
    return {part: entry["id"] for part, entry in stored.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask_first(
    run: Run, save: Save, training: Training, api: Api, job: TuningJob, files: dict[str, str]
) -> None:
    """What the service says before it is paid: that it would train this, and for how much; where it names no price, ours
    for the very files that were sent. Raises OutOfCredit when no budget allows it."""
    if training.check:
        training.check(api, job, files)
    quoted = training.quote(api, job, files) if training.quote else None
    snapshot, most = run.snapshot, to_reserve(training.estimate(job).microdollars)
    if quoted is not None:
        snapshot = {**snapshot, "quote": {"microdollars": quoted.microdollars, "basis": quoted.basis}}
        most = most if quoted.microdollars is None else quoted.microdollars
    with save() as session:
        if most is not None:
            later = int(run.estimate.get("predicting") or 0)
            cover(session, run, most + later, api.access.label)
        put(session, run, checked=True, failures=0, trouble="")
        set_run(session, run, snapshot=snapshot)


def _create(
    run: Run,
    save: Save,
    row: RemoteJobRow,
    training: Training,
    api: Api,
    job: TuningJob,
    files: dict[str, str],
) -> None:
    with save() as session:
        if session.exec(select(Run.cancel_asked).where(Run.id == run.id)).one():
            return
        values = {"sent": Sent.SENDING, "sent_at": now(), "creates": RemoteJobRow.creates + 1, "looks": 0}
        put(session, run, **values)
        set_run(session, run, progress_note=f"asks {api.access.label} to train")
        began = time.monotonic()
    sync_to_disk()
    if time.monotonic() - began > FRESH_SECONDS:
        # Nothing was sent, and whoever still holds the lease may say so; it begins anew.
        with save() as session:
            put(session, run, sent=Sent.NO, creates=row.creates)
            set_run(session, run, due_at=None)
        return
    try:
        made = training.submit(api, job, files)
        believe(made, run)
    except PAUSING as error:
        pause(run, save, error, sent=Sent.NO, trouble=error.message[:1000])
    except Busy as error:
        put_off(run, save, row, error, sent=Sent.NO)
    except (Unclear, AlreadyThere) as error:
        with save() as session:
            lost(session, run, error.message)
    except Refused as error:
        refuse(run, save, error, sent=Sent.REFUSED)
    else:
        write_raw(run_folder(run.id or 0), made.raw, api.access)
        with save() as session:
            adopt(session, run, made)


def believe(job: RemoteJob, run: Run, remote_id: str = "") -> None:
    """Raises Unclear for an answer that cannot be about this run's job: no id, another id, another key."""
    label = provider_of(run.model).label
    if not job.id or (remote_id and job.id != remote_id):
        raise Unclear(
            f"{label} answered with job {job.id or 'without an id'} instead of {remote_id or 'one'}."
        )
    if job.launch_key and job.launch_key != run.launch_key:
        raise Unclear(f"{label} answered with a job that carries the key of another run: {job.id}.")


def adopt(session: Any, run: Run, job: RemoteJob, **values: Any) -> None:
    """From now on this is the run's job."""
    put(
        session,
        run,
        sent=Sent.YES,
        remote_id=job.id,
        state=job.state[:100],
        phase=job.phase,
        message=job.message[:1000],
        tuned_model=job.model[:500],
        heard_at=now(),
        not_confirmed=False,
        claimed_id="",
        failures=0,
        trouble="",
        wait_until=None,
        **values,
    )
    asked = session.exec(select(col(Run.cancel_asked)).where(Run.id == run.id)).one()
    due = None if asked or job.phase in ENDED else in_seconds(settings().remote_poll_seconds)
    note = f"{provider_of(run.model).label} says: {job.state}"
    move(session, run, RunState.TRAINING, error="", hint="", progress_note=note[:300], due_at=due)
