"""Watches what is served for money until it is stopped, whatever becomes of its run; and what it has cost.

Called by workers/deployments.py (the idle guard), by the steps of predicting, and by the first page for its alert.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.config import settings
from app.db import session_scope
from app.errors import Busy, Gone, KeyRefused, OutOfCredit, ProviderError, Refused, Unclear
from app.lab.actor import Actor, find, owned, require_member
from app.lab.reservations import settle
from app.providers._base import Deploy
from app.providers._shapes import Deployment, Phase
from app.runs.hosted import job_row, open_job, provider_of
from app.service_http import Api
from app.tables import FINAL, DeploymentRow, DeploymentState, Run, RunState, Sent

S = DeploymentState
Save = Callable[[], AbstractContextManager[Session]]
LOOKED = (S.STARTING, S.RUNNING, S.STOPPING, S.UNKNOWN)
WATCH_SECONDS = 30.0
LONGEST_WATCH_SECONDS = 300.0
ENDED = (Phase.DONE, Phase.FAILED, Phase.CANCELLED)
KEY_LENGTH = len("tb-0123456789abcdef")


@dataclass(frozen=True)
class DeploymentLine:
    """One live deployment as an alert shows it. `microdollars`: what it has cost so far, None without a price;
    `trouble`: what the last try to stop it met."""

    id: int
    run_id: int
    provider: str
    state: str
    remote_id: str
    since: datetime
    hourly_microdollars: int | None
    microdollars: int | None
    trouble: str


def live_deployments(session: Session, actor: Actor) -> list[DeploymentLine]:
    """What is served for the project now, or not known to be stopped; the longest first."""
    rows = session.exec(
        owned(actor, DeploymentRow)
        .where(col(DeploymentRow.state).in_(LOOKED), DeploymentRow.sent != Sent.NO)
        .order_by(col(DeploymentRow.id))
    )
    return [
        DeploymentLine(
            row.id or 0,
            row.run_id,
            row.provider,
            row.state,
            row.remote_id or row.launch_key,
            row.running_since or row.asked_at,
            row.hourly_microdollars,
            cost_so_far(row) if row.hourly_microdollars is not None else None,
            row.message if row.state in (S.STOPPING, S.UNKNOWN) else "",
        )
        for row in rows
    ]


def cost_so_far(row: DeploymentRow) -> int:
    """Micro-dollars from the moment it was asked for until it stopped, or until now: what is billed at most."""
    if row.hourly_microdollars is None or row.sent != Sent.YES:
        return 0
    seconds = ((row.stopped_at or now()) - row.asked_at).total_seconds()
    return max(round(row.hourly_microdollars * seconds / 3600), 0)


def put_row(session: Session, row: DeploymentRow, **values: Any) -> bool:
    """Writes to a deployment that is still in the state it was read in."""
    done = session.execute(
        update(DeploymentRow)
        .where(col(DeploymentRow.id) == row.id, col(DeploymentRow.state) == row.state)
        .values(**values)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def seen_values(found: Deployment, model: str = "") -> dict[str, Any]:
    """What an answer of the service changes in the row that so far was called by `model`."""
    values: dict[str, Any] = {
        "remote_id": found.id[:300],
        "remote_state": found.state[:100],
        "message": found.message[:1000],
        "raw": dict(found.raw),
        "model": found.model[:500] or model,
    }
    if found.dollars_an_hour is not None and found.dollars_an_hour >= 0:
        values["hourly_microdollars"] = round(found.dollars_an_hour * 1e6)
    return values


def watch(row: DeploymentRow, save: Save) -> None:
    """One look of the guard, under the row's lease: stops what no run uses, and what nobody asks."""
    if row.state != S.STOPPING and not _must_stop(row):
        with save() as session:
            put_row(session, row, due_at=in_seconds(WATCH_SECONDS))
        return
    try:
        _stop(row, save)
    except (Busy, Unclear, KeyRefused, OutOfCredit, Refused) as error:
        _again(row, save, error)


def _must_stop(row: DeploymentRow) -> bool:
    with session_scope(write=False) as session:
        run = session.get(Run, row.run_id)
    if run is None or run.state != RunState.PREDICTING or run.cancel_asked:
        return True
    used = row.last_used_at or row.running_since or row.asked_at
    return used < now() - timedelta(minutes=row.idle_minutes)


def _stop(row: DeploymentRow, save: Save) -> None:
    """Asks the service to stop it until the service says that it has."""
    if row.sent in (Sent.NO, Sent.REFUSED):
        _ended(row, save, "never sent")
        return
    with session_scope(write=False) as session:
        run = session.get_one(Run, row.run_id)
    deploy = provider_of(run.model).deploy
    assert deploy is not None
    with open_job(run, job_row(run)) as api:
        found = _found(row, deploy, api)
        if found is None:
            _not_found(row, save)
            return
        stopped = found.phase in ENDED
        if not stopped:
            deploy.stop(api, found)
            try:
                found = deploy.poll(api, found.id)
                stopped = found.phase in ENDED
            except Gone:
                stopped = True
    if stopped:
        _ended(row, save, found.message)
        return
    with save() as session:
        values = {**seen_values(found, row.model), "state": S.STOPPING, "sent": Sent.YES}
        put_row(session, row, **values, due_at=in_seconds(settings().remote_poll_seconds))


def _found(row: DeploymentRow, deploy: Deploy, api: Api) -> Deployment | None:
    """The deployment as the service has it; None where it has none of that id or key."""
    try:
        if row.remote_id:
            return deploy.poll(api, row.remote_id)
        found = deploy.find(api, row.launch_key)
    except Gone:
        return None
    for other in found[1:]:
        deploy.stop(api, other)
    return found[0] if found else None


def _not_found(row: DeploymentRow, save: Save) -> None:
    """One that was there is gone; one whose create had no answer is looked for at all look times first."""
    times, looks = settings().look_times, row.looks + 1
    if row.remote_id or looks >= len(times):
        _ended(row, save, "" if row.remote_id else "never found at the service")
        return
    with save() as session:
        put_row(session, row, looks=looks, due_at=in_seconds(times[looks] - times[looks - 1]))


def _ended(row: DeploymentRow, save: Save, message: str) -> None:
    moment = now()
    row_then = row.model_copy(update={"stopped_at": moment})
    cost = cost_so_far(row_then)
    with save() as session:
        done = put_row(session, row, state=S.STOPPED, stopped_at=moment, due_at=None, message=message[:1000])
        if done and cost:
            more = {"cost_microdollars": Run.cost_microdollars + cost}
            session.execute(update(Run).where(col(Run.id) == row.run_id).values(**more))
            if session.exec(select(Run.state).where(Run.id == row.run_id)).one() in FINAL:
                settle(session, row.run_id)


def _again(row: DeploymentRow, save: Save, error: ProviderError) -> None:
    """It could not be stopped now: this is tried until it can, and shown."""
    looks = min(row.looks + 1, 1000)
    seconds = min(settings().remote_poll_seconds * 2 ** min(looks, 8), LONGEST_WATCH_SECONDS)
    with save() as session:
        put_row(
            session,
            row,
            state=S.STOPPING,
            looks=looks,
            message=error.message[:1000],
            due_at=in_seconds(max(error.wait or 0.0, seconds)),
        )


def stop_deployment(session: Session, actor: Actor, deployment_id: int) -> DeploymentRow:
    """Asks for the end of one deployment now. Its run, if it still predicts, puts the model to serve again."""
    require_member(actor, "stop deployments")
    row: DeploymentRow = find(session, actor, DeploymentRow, deployment_id)
    if row.state != S.STOPPED:
        put_row(session, row, state=S.STOPPING, due_at=None)
        session.refresh(row)
    return row


def look_for_unknown(run_id: int) -> int:
    """Lists what runs at the account of this run and takes in what carries a key of ours and is not watched; gives how
    many. Called by the periodic look for orphans."""
    with session_scope(write=False) as session:
        run = session.get_one(Run, run_id)
    row, provider = job_row(run), provider_of(run.model)
    if provider.deploy is None:
        return 0
    with open_job(run, row) as api:
        running = [each for each in provider.deploy.list_running(api) if each.launch_key]
    taken = 0
    with session_scope() as session:
        for each in running:
            taken += _take_in(session, row.base_url, row.credential_id, each)
    return taken


def _take_in(session: Session, base_url: str, credential_id: int | None, found: Deployment) -> bool:
    """Watches a running deployment that carries the key of one of our runs; another Tunebook's is left alone."""
    owner = session.exec(select(Run).where(Run.launch_key == found.launch_key[:KEY_LENGTH])).first()
    if owner is None:
        return False
    known = session.exec(select(DeploymentRow).where(DeploymentRow.launch_key == found.launch_key)).first()
    moment = now()
    if known is not None:
        if known.state != S.STOPPED:
            return False
        # What it cost until it was said to be stopped stands on the run already.
        put_row(
            session,
            known,
            state=S.STOPPING,
            asked_at=moment,
            stopped_at=None,
            due_at=None,
            remote_id=found.id[:300],
            sent=Sent.YES,
        )
        return True
    session.add(
        DeploymentRow(
            project_id=owner.project_id,
            run_id=owner.id or 0,
            provider=provider_of(owner.model).name,
            credential_id=credential_id,
            base_url=base_url,
            launch_key=found.launch_key[:64],
            sent=Sent.YES,
            state=S.RUNNING,
            asked_at=moment,
            running_since=moment,
            **seen_values(found),
        )
    )
    session.flush()
    return True
