"""Puts a run's tuned model to serve before its predictions, by the same rules as a paid job. Called by hosted_predict.py
under the run's lease; deployments.py stops it again, whatever becomes of the run.
"""

from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from app.clock import in_seconds, now
from app.config import settings
from app.db import session_scope, sync_to_disk
from app.errors import AlreadyThere, Busy, Gone, KeyRefused, OutOfCredit, Refused, Unclear
from app.providers._base import Deploy
from app.providers._shapes import Deployment, Phase
from app.runs.deployments import LOOKED, cost_so_far, put_row, seen_values
from app.runs.hosted import Save, pause_run, training_of
from app.runs.reply_plan import Plan
from app.runs.reply_rows import again, note_down, noted
from app.runs.reply_target import Target
from app.service_http import Api
from app.tables import DeploymentRow, DeploymentState, Run, Sent

S = DeploymentState
# A deployment that fails to start is tried so often.
MOST_DEPLOYMENTS = 3
# The first answers of a new deployment may say that it is not there yet.
MOST_DOUBTS = 20


def serve(plan: Plan, save: Save) -> Target | None:
    """The target under the name that its deployment gives it; None while that is still starting. Raises Refused where
    the service does not serve the model."""
    deploy, run = plan.target.provider.deploy, plan.run
    assert deploy is not None
    row = _row(run)
    if row is None:
        _make(plan, save, deploy)
        return None
    over = plan.over(run.cost_microdollars + cost_so_far(row))
    if over:
        with save() as session:
            put_row(session, row, state=S.STOPPING, due_at=None)
            pause_run(session, run, OutOfCredit(over, "Raise the run's budget, then let it go on."))
        return None
    if row.state == S.RUNNING:
        with save() as session:
            put_row(session, row, last_used_at=now())
        return plan.target.named(row.model or plan.target.model)
    with plan.target.open() as api:
        if row.sent == Sent.NO:
            _create(plan, save, deploy, api, row)
        elif row.sent == Sent.SENDING:
            _look(plan, save, deploy, api, row)
        else:
            _advance(plan, save, deploy, api, row)
    return None


def _row(run: Run) -> DeploymentRow | None:
    """The run's live deployment."""
    with session_scope(write=False) as session:
        return session.exec(
            select(DeploymentRow)
            .where(DeploymentRow.run_id == run.id, col(DeploymentRow.state).in_(LOOKED))
            .where(DeploymentRow.state != S.STOPPING)
            .order_by(col(DeploymentRow.id).desc())
        ).first()


def _make(plan: Plan, save: Save, deploy: Deploy) -> None:
    run, target = plan.run, plan.target
    price = target.price
    with save() as session:
        earlier = session.exec(select(DeploymentRow).where(DeploymentRow.run_id == run.id)).all()
        never = [each.message for each in earlier if each.running_since is None]
        if len(never) >= MOST_DEPLOYMENTS:
            raise Refused(
                f"{target.provider.label} did not get the model to serve in {len(never)} tries: {never[-1]}",
                "Look at the service, then retry the run: its training is kept.",
            )
        session.add(
            DeploymentRow(
                project_id=run.project_id,
                run_id=run.id or 0,
                provider=target.provider.name,
                credential_id=target.credential_id,
                base_url=target.row.base_url if target.row else target.provider.base_url,
                launch_key=f"{run.launch_key}-d{len(earlier) + 1}",
                hourly_microdollars=round(price.hourly * 1e6) if price and price.hourly else None,
                asked_at=now(),
                idle_minutes=deploy.idle_minutes,
                due_at=in_seconds(60),
            )
        )
        again(session, run, progress_note="puts the model to serve")


def _create(plan: Plan, save: Save, deploy: Deploy, api: Api, row: DeploymentRow) -> None:
    run = plan.run
    assert plan.target.row is not None
    job = training_of(run.model).poll(api, plan.target.row.remote_id)
    with save() as session:
        if session.exec(select(Run.cancel_asked).where(Run.id == run.id)).one():
            return
        put_row(session, row, sent=Sent.SENDING, looks=0)
    sync_to_disk()
    try:
        made = deploy.create(api, job, row.launch_key)
    except (Busy, KeyRefused, OutOfCredit):
        with save() as session:
            put_row(session, row, sent=Sent.NO)
        raise
    except (Unclear, AlreadyThere) as error:
        with save() as session:
            put_row(session, row, state=S.UNKNOWN, message=error.message[:1000])
            again(session, run, progress_note="looks for its deployment at the service")
    except Refused as error:
        with save() as session:
            put_row(
                session,
                row,
                sent=Sent.REFUSED,
                state=S.STOPPED,
                stopped_at=now(),
                message=error.message[:1000],
            )
        raise
    else:
        _keep(plan, save, row, made)


def _look(plan: Plan, save: Save, deploy: Deploy, api: Api, row: DeploymentRow) -> None:
    """The create's answer was lost: the deployment is looked for, the oldest adopted, others are stopped."""
    found = sorted(deploy.find(api, row.launch_key), key=lambda each: (each.created_at or 9e99, each.id))
    if found:
        for other in found[1:]:
            deploy.stop(api, other)
        _keep(plan, save, row, found[0])
        return
    times, looks = settings().look_times, row.looks + 1
    with save() as session:
        put_row(session, row, looks=looks, state=S.UNKNOWN)
        if looks < len(times):
            note = f"look {looks} of {len(times)}: {api.access.label} lists no deployment of this run yet"
            again(session, plan.run, times[looks] - times[looks - 1], progress_note=note)
        else:
            # The last look found nothing: it is given up as a row, and the watch still looks for its key.
            put_row(session, row, state=S.STOPPED, stopped_at=now(), message="never found at the service")
            said = Unclear(
                f"Not confirmed: whether {api.access.label} deployed {row.launch_key} is not known.",
                "Look at the service, then let the run go on: it deploys once more.",
            )
            pause_run(session, plan.run, said)


def _keep(plan: Plan, save: Save, row: DeploymentRow, found: Deployment) -> None:
    """What the service says of the deployment now."""
    values: dict[str, Any] = {**seen_values(found, row.model), "sent": Sent.YES}
    running = found.phase == Phase.RUNNING
    failed = found.phase in (Phase.FAILED, Phase.DONE, Phase.CANCELLED)
    values["state"] = S.STOPPING if failed else S.RUNNING if running else S.STARTING
    if running:
        values |= {"running_since": row.running_since or now(), "last_used_at": now()}
    note = f"{plan.target.provider.label} says of the deployment: {found.state} {found.message}".strip()
    with save() as session:
        put_row(session, row, **values)
        seconds = 0.0 if running or failed else settings().remote_poll_seconds
        again(session, plan.run, seconds, progress_note=note[:300])


def _advance(plan: Plan, save: Save, deploy: Deploy, api: Api, row: DeploymentRow) -> None:
    try:
        if deploy.advance:
            found = deploy.advance(api, deployment_of(row))
        else:
            found = deploy.poll(api, row.remote_id)
    except Gone as error:
        with save() as session:
            put_row(session, row, state=S.STOPPED, stopped_at=now(), message=error.message[:1000])
            again(session, plan.run)
        return
    _keep(plan, save, row, found)


def doubt(run: Run, save: Save) -> bool:
    """The service does not know a model that was being served: its deployment is asked about, and made anew where it
    has stopped itself. False once that was tried too often."""
    doubts = int(noted(run, "doubts") or 0) + 1
    if doubts > MOST_DOUBTS:
        return False
    with save() as session:
        session.execute(
            update(DeploymentRow)
            .where(col(DeploymentRow.run_id) == run.id, col(DeploymentRow.state) == S.RUNNING)
            .values(state=S.STARTING)
        )
        note_down(session, run, doubts=doubts)
        again(session, run, min(float(doubts), settings().remote_poll_seconds))
    return True


def deployment_of(row: DeploymentRow) -> Deployment:
    """The row as the provider knows it."""
    phase = Phase.RUNNING if row.state == S.RUNNING else Phase.WAITING
    return Deployment(
        row.remote_id, row.remote_state, phase, row.model, row.launch_key, row.message, raw=row.raw
    )
