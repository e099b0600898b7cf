"""Fetches at once what a finished training left at its service: weights, records, the rest of log and curves.

A folder of weights appears whole or not at all; a download that was cut goes on from where it stood.
"""

import shutil
from pathlib import Path
from typing import Any

from sqlmodel import select

from app.clock import in_seconds, now
from app.errors import Busy, ProviderError, Refused, Unclear
from app.providers._shapes import RemoteJob
from app.runs import outputs
from app.runs.curves import store_points
from app.runs.hosted import (
    PAUSING,
    Save,
    job_row,
    open_job,
    pause,
    pause_seconds,
    provider_of,
    put,
    sent_seed,
    set_run,
    training_of,
)
from app.runs.hosted_files import append_log, write_curves, write_raw
from app.runs.hosted_ledger import close, read_back
from app.runs.hosted_news import good_points, read_news
from app.runs.lifecycle import move
from app.service_http import Api
from app.settings.keys import look_soon
from app.storage import run_folder
from app.tables import RemoteJobRow, Run, RunMetric, RunState

# After so many failures in a row the run goes on without its weights, and says so.
MOST_FAILURES = 8
PAGES = 200
ADAPTER_FILE = "adapter_config.json"
# What the alarm of a given-up rescue begins with.
GIVEN_UP = "Not all that"


def rescue(run: Run, save: Save, row: RemoteJobRow) -> None:
    """Fetches what is missing, then lets the run go on to its predictions, or end where its cancel was too late."""
    if row.rescued_at is not None:
        _hand_over(run, save, run.ledger)
        return
    training, label = training_of(run.model), provider_of(run.model).label
    with save() as session:
        set_run(session, run, progress_note=f"fetches from {label} what the training made")
    try:
        with open_job(run, row) as api:
            job = training.poll(api, row.remote_id)
            _news(run, save, row, api, job)
            write_raw(run_folder(run.id or 0), job.raw, api.access)
            fetch_weights(run, api, job)
    except PAUSING as error:
        pause(run, save, error)
    except (Busy, Unclear, OSError) as error:
        _again(run, save, row, error)
    except Refused as error:
        _without(run, save, row, error.message)
    else:
        ledger = read_back(run.ledger, job.resolved, label, sent_seed(run))
        with save() as session:
            put(session, run, rescued_at=now(), failures=0, trouble="", wait_until=None)
            if training.list_tuned:
                look_soon(session, row.credential_id)
        _hand_over(run, save, ledger)


def _news(run: Run, save: Save, row: RemoteJobRow, api: Api, job: RemoteJob) -> None:
    """The end of log and curves. They are read to the end here, and out/metrics.jsonl is written."""
    folder, current = run_folder(run.id or 0), job_row(run)
    news = read_news(training_of(run.model), api, job, current, PAGES)
    size = append_log(folder, current.log_bytes, news.lines) if news.lines else current.log_bytes
    with save() as session:
        store_points(session, run, good_points(news.points))
        cursors = {"log_cursor": news.log_cursor[:500], "metrics_cursor": news.metrics_cursor[:500]}
        put(session, run, log_bytes=size, trouble=news.trouble[:1000], **cursors)
        points = session.exec(
            select(RunMetric.name, RunMetric.step, RunMetric.value).where(RunMetric.run_id == run.id)
        ).all()
    write_curves(folder, [(name, step, value) for name, step, value in points])


def fetch_weights(run: Run, api: Api, job: RemoteJob) -> None:
    """out/adapter or out/model, and out/records; what is there already is not fetched again. Raises ProviderError or
    OSError."""
    training, out = training_of(run.model), run_folder(run.id or 0) / "out"
    if training.fetch_records and not (out / "records").is_dir():
        _fetch(training.fetch_records, api, job, out / "records.part", lambda: out / "records")
    if training.fetch_weights and outputs.weights_folder(out.parent) is None:
        part = out / "weights.part"
        _fetch(training.fetch_weights, api, job, part, lambda: out / _weights_name(part))


def _weights_name(part: Path) -> str:
    return "adapter" if any(part.rglob(ADAPTER_FILE)) else "model"


def _fetch(fetch: Any, api: Api, job: RemoteJob, part: Path, final: Any) -> None:
    part.mkdir(parents=True, exist_ok=True)
    if fetch(api, job, part):
        part.rename(final())
    else:
        shutil.rmtree(part, ignore_errors=True)


def _again(run: Run, save: Save, row: RemoteJobRow, error: ProviderError | OSError) -> None:
    said = error.message if isinstance(error, ProviderError) else f"The disk said: {error.strerror or error}."
    if row.failures + 1 >= MOST_FAILURES:
        _without(run, save, row, said)
        return
    wait = getattr(error, "wait", None) or 0.0
    later = in_seconds(max(wait, pause_seconds(row.failures)))
    with save() as session:
        put(session, run, failures=row.failures + 1, trouble=said[:1000], wait_until=later)
        note = f"fetching was cut and goes on, try {row.failures + 2} of {MOST_FAILURES}: {said}"
        set_run(session, run, due_at=later, progress_note=note[:300])


def _without(run: Run, save: Save, row: RemoteJobRow, said: str) -> None:
    """The run goes on without what could not be fetched; the page says so and offers to try again."""
    label = provider_of(run.model).label
    alarm = f"{GIVEN_UP} {label} has of this run could be fetched: {said}"
    with save() as session:
        put(
            session,
            run,
            rescued_at=now(),
            failures=0,
            wait_until=None,
            alarm=f"{row.alarm} {alarm}".strip()[:2000],
        )
    _hand_over(run, save, run.ledger)


def _hand_over(run: Run, save: Save, ledger: dict[str, dict[str, Any]]) -> None:
    provider = provider_of(run.model)
    values = {"ledger": close(ledger, provider.label, provider.undisclosed)}
    with save() as session:
        if session.exec(select(Run.cancel_asked).where(Run.id == run.id)).one():
            too_late = (
                f"{provider.label} had finished the training before it could be cancelled: it is paid, and what it "
                "made is kept here. Retrying goes on with its predictions."
            )
            move(session, run, RunState.CANCELLED, error=too_late, hint="", **values)
        else:
            move(session, run, RunState.PREDICTING, error="", hint="", **values)
