"""Jobs at a service that carry a launch key of Tunebook's and are no run's job: found, shown, cancelled, adopted.

They should not be: a look now and then finds what a lost database, a late list or a run that was given up left behind.
Called by workers/orphans.py, the first page and the API.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from app.clock import now
from app.db import session_scope
from app.errors import Conflict, Gone, NotFound, ProviderError
from app.lab.actor import Actor, find, owned, require_member
from app.providers._shapes import ENDED, Phase, RemoteJob
from app.queue import ADVANCE_RUN, LOOK_AT_ACCOUNT, enqueue
from app.runs.hosted import job_row, open_job, provider_of, training_of
from app.runs.hosted_decide import adopt_job
from app.service_http import Api
from app.tables import OrphanJob, OrphanState, RemoteJobRow, Run, RunState, Sent

KEY = re.compile(r"tb-[0-9a-f]{16}")
# Jobs of an account that one look reads, the newest first.
MOST_JOBS = 2000
OPEN = (OrphanState.FOUND, OrphanState.CANCELLING)


@dataclass(frozen=True)
class OrphanLine:
    """One job without a run, as it is shown; `run_id`: the run whose key it carries."""

    id: int
    provider: str
    remote_id: str
    launch_key: str
    run_id: int | None
    state: str
    remote_state: str
    message: str
    can_adopt: bool
    found_at: datetime


def accounts(session: Session) -> list[int]:
    """For each account that anything was sent to, the newest run: it stands for the account."""
    rows = session.exec(
        select(func.max(RemoteJobRow.run_id)).group_by(
            col(RemoteJobRow.provider), col(RemoteJobRow.credential_id), col(RemoteJobRow.base_url)
        )
    )
    return sorted(run_id for run_id in rows if run_id)


def look_at_account(run_id: int) -> int:
    """Lists the account's jobs and keeps those that are nobody's; gives how many are open. Raises ProviderError."""
    with session_scope(write=False) as session:
        run = session.get_one(Run, run_id)
    row, training = job_row(run), training_of(run.model)
    with open_job(run, row) as api:
        jobs = {
            job.id: job
            for job in islice(training.list_jobs(api), MOST_JOBS)
            if job.id and KEY.fullmatch(job.launch_key)
        }
        _look_again(api, training.poll, row, jobs)
        said = _cancel(api, training.cancel, row, jobs)
    with session_scope() as session:
        return _store(session, run, row, jobs.values(), said)


def _open_rows(session: Session, row: RemoteJobRow) -> list[OrphanJob]:
    return list(
        session.exec(
            select(OrphanJob).where(
                OrphanJob.provider == row.provider,
                OrphanJob.base_url == row.base_url,
                col(OrphanJob.state).in_(OPEN),
            )
        )
    )


def _look_again(api: Api, poll: Any, row: RemoteJobRow, jobs: dict[str, RemoteJob]) -> None:
    """Open orphans that are too old for the list are asked about one by one."""
    with session_scope(write=False) as session:
        missing = [each.remote_id for each in _open_rows(session, row) if each.remote_id not in jobs]
    for remote_id in missing[:50]:
        try:
            jobs[remote_id] = poll(api, remote_id)
        except Gone:
            jobs[remote_id] = RemoteJob(remote_id, "gone", Phase.CANCELLED)


def _cancel(api: Api, cancel: Any, row: RemoteJobRow, jobs: dict[str, RemoteJob]) -> dict[str, str]:
    """Sends the cancels that a person asked for; {id: what the service said against it}."""
    with session_scope(write=False) as session:
        wanted = [each.remote_id for each in _open_rows(session, row) if each.state == OrphanState.CANCELLING]
    said = {}
    for remote_id in wanted:
        if remote_id in jobs and jobs[remote_id].phase not in ENDED and cancel is not None:
            try:
                cancel(api, remote_id)
                said[remote_id] = "cancel asked, not confirmed yet"
            except ProviderError as error:
                said[remote_id] = error.message
    return said


def _store(
    session: Session, run: Run, row: RemoteJobRow, jobs: Iterable[RemoteJob], said: dict[str, str]
) -> int:
    jobs = list(jobs)
    owners = _owners(session, row, jobs)
    known = {
        each.remote_id: each
        for each in session.exec(
            select(OrphanJob).where(OrphanJob.provider == row.provider, OrphanJob.base_url == row.base_url)
        )
    }
    for job in jobs:
        owner = owners.get(job.launch_key)
        if _is_owned(session, row, job, owner):
            if job.id in known:
                known[job.id].state = OrphanState.ADOPTED
            continue
        orphan = known.get(job.id)
        if orphan is None:
            if job.phase in (Phase.FAILED, Phase.CANCELLED):
                continue
            orphan = _new(run, row, job, owner)
        orphan.remote_state, orphan.phase, orphan.looked_at = job.state[:100], job.phase, now()
        orphan.message = said.get(job.id, orphan.message)[:1000]
        if job.phase in (Phase.FAILED, Phase.CANCELLED) and orphan.state in OPEN:
            orphan.state, orphan.message = OrphanState.ENDED, ""
        _keep(session, orphan)
    session.flush()
    return len(_open_rows(session, row))


def _keep(session: Session, orphan: OrphanJob) -> None:
    try:
        with session.begin_nested():
            session.add(orphan)
    except IntegrityError:
        # Another look has just kept it.
        return


def _owners(session: Session, row: RemoteJobRow, jobs: list[RemoteJob]) -> dict[str, Run]:
    keys = {job.launch_key for job in jobs}
    runs = session.exec(select(Run).where(col(Run.launch_key).in_(keys)))
    return {run.launch_key: run for run in runs}


def _is_owned(session: Session, row: RemoteJobRow, job: RemoteJob, owner: Run | None) -> bool:
    """Whether the job is a run's own, one of its doubles, or being looked for at this moment."""
    if owner is None:
        return False
    own = session.get(RemoteJobRow, owner.id)
    if own is None:
        return False
    if own.remote_id == job.id or any(double["id"] == job.id for double in own.doubles):
        return True
    if own.sent == Sent.SENDING and owner.state == RunState.UNKNOWN:
        # Its own look will adopt it: now, rather than at its time.
        session.execute(
            update(RemoteJobRow).where(col(RemoteJobRow.run_id) == owner.id).values(wait_until=None)
        )
        session.execute(update(Run).where(col(Run.id) == owner.id).values(due_at=None))
        enqueue(session, ADVANCE_RUN, owner.id or 0)
        return True
    return own.sent == Sent.SENDING and owner.state == RunState.SUBMITTING


def _new(run: Run, row: RemoteJobRow, job: RemoteJob, owner: Run | None) -> OrphanJob:
    return OrphanJob(
        project_id=owner.project_id if owner else run.project_id,
        account_run_id=run.id or 0,
        run_id=owner.id if owner else None,
        provider=row.provider,
        base_url=row.base_url,
        remote_id=job.id,
        launch_key=job.launch_key,
        found_at=now(),
        looked_at=now(),
    )


def orphan_lines(session: Session, actor: Actor) -> list[OrphanLine]:
    """The open ones of the project, the newest first."""
    rows = session.exec(
        owned(actor, OrphanJob).where(col(OrphanJob.state).in_(OPEN)).order_by(col(OrphanJob.id).desc())
    ).all()
    waiting = (
        set(
            session.exec(
                select(RemoteJobRow.run_id)
                .join(Run, col(Run.id) == RemoteJobRow.run_id)
                .where(
                    col(RemoteJobRow.run_id).in_([row.run_id for row in rows]),
                    col(RemoteJobRow.not_confirmed).is_(True),
                    Run.state == RunState.UNKNOWN,
                )
            )
        )
        if rows
        else set()
    )
    return [
        OrphanLine(
            row.id or 0,
            provider_of(f"{row.provider}/").label,
            row.remote_id,
            row.launch_key,
            row.run_id,
            row.state,
            row.remote_state,
            row.message,
            row.run_id in waiting,
            row.found_at,
        )
        for row in rows
    ]


def decide(session: Session, actor: Actor, orphan_id: int, choice: str) -> OrphanJob:
    """One of cancel, adopt, dismiss; raises NotFound for another word."""
    choices = {"cancel": cancel_orphan, "adopt": adopt_orphan, "dismiss": dismiss_orphan}
    if choice not in choices:
        raise NotFound(f"A job cannot be {choice[:40]!r}.", f"There are: {', '.join(choices)}.")
    return choices[choice](session, actor, orphan_id)


def cancel_orphan(session: Session, actor: Actor, orphan_id: int) -> OrphanJob:
    """Asks the service to stop the job; it stays shown until the service says that it has ended."""
    require_member(actor, "cancel jobs")
    orphan = _open(session, actor, orphan_id)
    orphan.state, orphan.message = OrphanState.CANCELLING, "the cancel is being sent"
    session.add(orphan)
    session.flush()
    enqueue(session, LOOK_AT_ACCOUNT, orphan.account_run_id)
    return orphan


def adopt_orphan(session: Session, actor: Actor, orphan_id: int) -> OrphanJob:
    """Gives the job to its run, which is looking for it."""
    require_member(actor, "adopt jobs")
    orphan = _open(session, actor, orphan_id)
    if orphan.run_id is None:
        raise Conflict("No run here has the key of this job.", "Cancel it, or dismiss it.")
    adopt_job(session, actor, orphan.run_id, orphan.remote_id)
    return orphan


def dismiss_orphan(session: Session, actor: Actor, orphan_id: int) -> OrphanJob:
    """Hides the job: it is known and shall go on."""
    require_member(actor, "decide about jobs")
    orphan = _open(session, actor, orphan_id)
    orphan.state = OrphanState.DISMISSED
    session.add(orphan)
    session.flush()
    return orphan


def _open(session: Session, actor: Actor, orphan_id: int) -> OrphanJob:
    orphan: OrphanJob = find(session, actor, OrphanJob, orphan_id)
    if orphan.state not in OPEN:
        raise Conflict(f"Job {orphan.remote_id} is {orphan.state} already.", "Look at the page again.")
    return orphan
