"""Cancelling a hosted run, honestly: it is cancelled when the service says so, and "cancel asked" until then."""

from datetime import timedelta

from app.clock import in_seconds, now
from app.db import session_scope
from app.errors import Busy, ProviderError, Refused, Unclear
from app.providers._shapes import ENDED, Phase
from app.runs.hosted import (
    PAUSING,
    Save,
    find_row,
    must_wait,
    open_job,
    pause,
    provider_of,
    put,
    put_off,
    set_run,
    training_of,
)
from app.runs.hosted_look import unknown
from app.runs.hosted_poll import ask, poll_seconds
from app.runs.hosted_rescue import rescue
from app.runs.hosted_submit import lost
from app.runs.lifecycle import move
from app.tables import RemoteJobRow, Run, RunState, Sent

# A cancel that the service took but that shows no effect is sent once more after this time.
AGAIN = timedelta(minutes=2)


def cancel(run: Run, save: Save) -> None:
    """One step towards the end, by how far the create was: not sent, sent without an answer, or answered. A run that
    predicts is cancelled by hosted_predict.py."""
    with session_scope(write=False) as session:
        row = find_row(session, run.id)
    if row is None or row.sent in (Sent.NO, Sent.REFUSED) or run.state == RunState.SCORING:
        with save() as session:
            move(session, run, RunState.CANCELLED)
    elif row.sent == Sent.SENDING:
        _look_first(run, save)
    elif row.phase == Phase.DONE:
        rescue(run, save, row)
    else:
        _stop_job(run, save, row)


def _look_first(run: Run, save: Save) -> None:
    """Whether there is a job is not known: it is looked for, adopted, and then cancelled."""
    if run.state == RunState.UNKNOWN:
        unknown(run, save)
        return
    with save() as session:
        lost(session, run, "The create was sent, and its answer had not come when the cancel was asked.")


def _stop_job(run: Run, save: Save, row: RemoteJobRow) -> None:
    if must_wait(run, row, save):
        return
    if _is_due(row) and not _send(run, save, row):
        return
    job = ask(run, save, row)
    if job is None or job.phase in ENDED:
        return
    label = provider_of(run.model).label
    can = training_of(run.model).cancel is not None
    note = (
        f"cancel asked; {label} still says: {job.state}"
        if can
        else f"cancel asked; {label} cannot cancel, so its end is waited for"
    )
    with save() as session:
        set_run(session, run, progress_note=note[:300], due_at=in_seconds(poll_seconds(row)))


def _is_due(row: RemoteJobRow) -> bool:
    return row.cancel_sent_at is None or row.cancel_sent_at < now() - AGAIN


def _send(run: Run, save: Save, row: RemoteJobRow) -> bool:
    """Asks the service to stop; says whether its answer allows a look at once."""
    stop = training_of(run.model).cancel
    if stop is None:
        return True
    try:
        with open_job(run, row) as api:
            stop(api, row.remote_id)
    except PAUSING as error:
        pause(run, save, _not_confirmed(run, error))
        return False
    except (Busy, Unclear) as error:
        put_off(run, save, row, error)
        return False
    except Refused as error:
        # Most often it has ended already: the look says how.
        said = error.message
    else:
        said = ""
    with save() as session:
        put(session, run, cancel_sent_at=now(), trouble=said[:1000])
    return True


def _not_confirmed(run: Run, error: ProviderError) -> ProviderError:
    label = provider_of(run.model).label
    return type(error)(
        f"Cancel asked, not confirmed by {label}: {error.message}", error.hint, error.wait, error.code
    )
