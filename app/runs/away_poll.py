"""The step of a run whose job is on another machine: how it stands, what it says, its results home when it is over."""

from typing import Any

from app.clock import in_seconds, now
from app.compute._base import Phase, Status
from app.errors import Gone, ProviderError, TunebookError
from app.runs import outputs
from app.runs.away import (
    GRACE_SECONDS,
    Ground,
    cost,
    deadline_seconds,
    ground,
    is_silent,
    leave,
    put,
    put_off,
)
from app.runs.away_steps import closing
from app.runs.hosted import Save, set_run
from app.runs.lifecycle import move
from app.runs.steps import store_curves
from app.storage import run_folder
from app.tables import Run, RunState


def training(run: Run, save: Save) -> None:
    """One look. A machine that does not answer is asked again later: its job goes on without us."""
    place, folder = ground(run), run_folder(run.id or 0)
    try:
        status = place.compute.status(place.site, place.job.handle)
        if status.phase in (Phase.RUNNING, Phase.GONE):
            place.compute.pull(place.site, place.job.handle, folder)
        if status.phase == Phase.ENDED:
            place.compute.fetch(place.site, place.job.handle, folder)
    except Gone as error:
        status = Status(Phase.GONE, "gone", error.message)
    except ProviderError as error:
        if is_silent(place):
            raise TunebookError(
                f"{place.machine.name} has not answered for longer than its deadline: {error.message}",
                "Its job must have ended by itself. Look at the compute's page, then retry or clone the run.",
            ) from error
        put_off(run, save, place, error)
        return
    over = status.phase in (Phase.ENDED, Phase.GONE)
    store_curves(run, save, folder, to_the_end=over)
    if over:
        _ended(run, save, place, status)
    elif _too_late(place):
        _overdue(run, save, place)
    else:
        _goes_on(run, save, place, status)


def _goes_on(run: Run, save: Save, place: Ground, status: Status) -> None:
    progress = outputs.read_progress(run_folder(run.id or 0))
    runs = status.phase == Phase.RUNNING
    note = progress.message if runs else status.note or f"{place.machine.name}: {status.state}"
    values: dict[str, Any] = {
        "progress": progress.fraction if runs else 0.0,
        "progress_note": note[:300],
        "seconds_left": progress.seconds_left if runs else None,
        "due_at": in_seconds(place.compute.poll_seconds),
        "cost_microdollars": cost(run, place, status.microdollars),
    }
    with save() as session:
        put(session, place.job, **_heard(place, status))
        if progress.stage == "predicting" and run.state == RunState.TRAINING:
            move(session, run, RunState.PREDICTING, **values)
        else:
            set_run(session, run, **values)


def _heard(place: Ground, status: Status) -> dict[str, Any]:
    since = place.job.running_since or (now() if status.phase != Phase.WAITING else None)
    return {
        "remote_state": status.state[:100],
        "message": status.note[:1000],
        "heard_at": now(),
        "running_since": since,
        "failures": 0,
        "trouble": "",
    }


def _too_late(place: Ground) -> bool:
    since = place.job.running_since
    return since is not None and (now() - since).total_seconds() > deadline_seconds(place) + GRACE_SECONDS


def _overdue(run: Run, save: Save, place: Ground) -> None:
    """The machine did not keep the deadline: it is ended from here."""
    try:
        place.compute.cancel(place.site, place.job.handle)
    except ProviderError as error:
        put_off(run, save, place, error)
        return
    raise TunebookError(
        f"The job on {place.machine.name} went on beyond its deadline of {place.machine.deadline_hours:g} hours and "
        "was ended.",
        "Train fewer epochs or a smaller model, or give the compute a later deadline, then retry.",
    )


def _ended(run: Run, save: Save, place: Ground, status: Status) -> None:
    folder = run_folder(run.id or 0)
    values = closing(run, place) | {"cost_microdollars": cost(run, place, status.microdollars)}
    code = outputs.read_exit_code(folder)
    with save() as session:
        put(session, place.job, **_heard(place, status))
        leave(session, place.job)
        if status.phase == Phase.ENDED and code == 0:
            move(session, run, RunState.SCORING, **values)
            return
        message, hint = _why(place, status, outputs.read_json(folder, "error.json"), code)
        move(session, run, RunState.FAILED, error=message[:2000], hint=hint[:2000], **values)


def _why(place: Ground, status: Status, error: dict[str, Any], code: int | None) -> tuple[str, str]:
    """What ended the run, and how to mend it."""
    if status.phase == Phase.GONE:
        return (
            f"The job on {place.machine.name} is gone: {status.note or status.state or 'it left no exit code'}.",
            "It was killed, timed out or its machine was lost. The log shows how far it came; retry it, or give the "
            "compute more memory or a later deadline.",
        )
    message = error.get("message") or f"The process ended with code {code}."
    return str(message), str(error.get("hint") or "The log below says what it was doing.")
