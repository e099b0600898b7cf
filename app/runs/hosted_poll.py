"""The step of a run whose job is at its service: asks what has become of it, and keeps state, curves, log and ledger.

At the end it hands over to hosted_rescue.py, which fetches what the service gives.
"""

from typing import Any

from sqlmodel import Session

from app.clock import in_seconds, now
from app.config import settings
from app.errors import Busy, Gone, KeyRefused, ProviderError, Refused, Unclear
from app.providers._base import Training
from app.providers._shapes import ENDED, Phase, RemoteJob
from app.runs.curves import store_points
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
    sent_seed,
    set_run,
    training_of,
)
from app.runs.hosted_cost import bill
from app.runs.hosted_files import append_log, write_raw
from app.runs.hosted_ledger import close, read_back
from app.runs.hosted_news import News, good_points, read_news
from app.runs.hosted_rescue import rescue
from app.runs.hosted_submit import believe, refuse
from app.runs.lifecycle import move
from app.service_http import Api
from app.storage import run_folder
from app.tables import RemoteJobRow, Run, RunState

SLOWEST_POLL = 60.0
# A job that was there is asked about this often before its absence is believed.
GONE_LOOKS = 4


def training(run: Run, save: Save) -> None:
    """One look at the job; or, once it is done, the fetching of what it made."""
    row = job_row(run)
    if must_wait(run, row, save):
        return
    if row.phase == Phase.DONE:
        rescue(run, save, row)
        return
    ask(run, save, row)


def ask(run: Run, save: Save, row: RemoteJobRow) -> RemoteJob | None:
    """Asks the service and stores its answer; None when there was none that could be believed."""
    try:
        with open_job(run, row) as api:
            refused = _start(row, training_of(run.model), api)
            job = training_of(run.model).poll(api, row.remote_id)
            believe(job, run, row.remote_id)
            news = read_news(training_of(run.model), api, job, row)
            doubles = cancel_doubles(training_of(run.model), api, row)
            write_raw(run_folder(run.id or 0), job.raw, api.access)
    except PAUSING as error:
        pause(run, save, error)
    except Gone as error:
        _gone(run, save, row, error)
    except (Busy, Unclear) as error:
        put_off(run, save, row, error)
    except Refused as error:
        put_off(run, save, row, error)
    else:
        if refused and job.phase == Phase.WAITING:
            _not_started(run, save, row, refused)
            return None
        store(run, save, row, job, news, doubles)
        return job
    return None


def _start(row: RemoteJobRow, training: Training, api: Api) -> Refused | None:
    """The second of two calls, where creating alone trains nothing. It is about one job and may be repeated. Gives a
    refusal, which may only mean that the job was started already: the poll says which."""
    if training.start is None or row.start_sent_at is not None:
        return None
    try:
        training.start(api, row.remote_id)
    except Gone:
        raise
    except Refused as error:
        return error
    return None


def _not_started(run: Run, save: Save, row: RemoteJobRow, error: Refused) -> None:
    """The service has the job and does not start it; after some tries that is its last word. Nothing was paid."""
    if row.failures < GONE_LOOKS:
        put_off(run, save, row, error)
    else:
        refuse(run, save, error)


def _gone(run: Run, save: Save, row: RemoteJobRow, error: ProviderError) -> None:
    label = provider_of(run.model).label
    if row.failures < GONE_LOOKS:
        put_off(run, save, row, error)
        return
    said = KeyRefused(
        f"{label} does not know job {row.remote_id} any more: {error.message}",
        "The key may be of another account. Enter the one that launched the run, or give the run up.",
    )
    pause(run, save, said)


def cancel_doubles(training: Training, api: Api, row: RemoteJobRow) -> list[dict[str, Any]]:
    """The other jobs that carry the run's key, asked to stop; each as it stands now."""
    left = []
    for double in row.doubles:
        if not double["ended"]:
            try:
                job = training.poll(api, double["id"])
                if job.phase not in ENDED and training.cancel:
                    training.cancel(api, double["id"])
                double = {**double, "state": job.state, "ended": job.phase in ENDED}
            except Gone:
                double = {**double, "state": "gone", "ended": True}
            except PAUSING:
                raise
            except ProviderError as error:
                double = {**double, "trouble": error.message[:300]}
        left.append(double)
    return left


def store(
    run: Run, save: Save, row: RemoteJobRow, job: RemoteJob, news: News, doubles: list[dict[str, Any]]
) -> None:
    """Keeps what one look brought, and ends the state where the job has ended without a model."""
    label, folder = provider_of(run.model).label, run_folder(run.id or 0)
    log_bytes = append_log(folder, row.log_bytes, news.lines) if news.lines else row.log_bytes
    ledger = read_back(run.ledger, job.resolved, label, sent_seed(run))
    values = {"ledger": ledger, **bill(run, row, job)}
    with save() as session:
        store_points(session, run, good_points(news.points))
        put(
            session,
            run,
            state=job.state[:100],
            phase=job.phase,
            message=job.message[:1000],
            tuned_model=job.model[:500] or row.tuned_model,
            trained_tokens=job.trained_tokens if (job.trained_tokens or 0) >= 0 else None,
            log_cursor=news.log_cursor[:500],
            log_bytes=log_bytes,
            metrics_cursor=news.metrics_cursor[:500],
            doubles=doubles,
            heard_at=now(),
            failures=0,
            trouble=news.trouble[:1000],
            wait_until=None,
            start_sent_at=row.start_sent_at or now(),
        )
        if job.phase in (Phase.FAILED, Phase.CANCELLED):
            end_without_model(session, run, job, values)
        else:
            _goes_on(session, run, row, job, values)


def _goes_on(session: Session, run: Run, row: RemoteJobRow, job: RemoteJob, values: dict[str, Any]) -> None:
    label = provider_of(run.model).label
    note = f"{label} says: {job.state}" + (f", {job.message}" if job.message else "")
    if job.phase == Phase.STRANGE:
        note = f"{label} says {job.state!r}, which Tunebook does not know; it asks again"
    ended = job.phase == Phase.DONE
    set_run(
        session,
        run,
        progress=1.0 if ended else min(max(job.progress or 0.0, 0.0), 1.0),
        progress_note=note[:300],
        seconds_left=job.seconds_left,
        due_at=None if ended else in_seconds(poll_seconds(row)),
        **values,
    )


def poll_seconds(row: RemoteJobRow) -> float:
    """The longer a job has been there, the less often it is asked about: at most once a minute."""
    age = (now() - row.sent_at).total_seconds() if row.sent_at else 0.0
    least = settings().remote_poll_seconds
    return max(least, min(age / 60, SLOWEST_POLL))


def end_without_model(session: Session, run: Run, job: RemoteJob, values: dict[str, Any]) -> None:
    """The service's own end of the job, in its own words. `run` may be in any state."""
    provider = provider_of(run.model)
    values = {**values, "ledger": close(values["ledger"], provider.label, provider.undisclosed)}
    said = f": {job.message}" if job.message else "."
    if job.phase == Phase.CANCELLED:
        error = "" if run.cancel_asked else f"The training was cancelled at {provider.label}{said}"
        move(session, run, RunState.CANCELLED, error=error[:2000], hint="", **values)
        return
    error = f"{provider.label} says that the training failed{said}"
    hint = "Its log below may say more. Retrying makes a new training, which is paid anew."
    to = RunState.CANCELLED if run.cancel_asked else RunState.FAILED
    move(session, run, to, error=error[:2000], hint=hint, **values)
