"""What a person decides about a hosted run: which job is its own, another create, giving up, going on after a pause.

Nothing here calls the service: the worker does, and the decision is kept with the run.
"""

import secrets

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.errors import Conflict, Invalid
from app.lab.actor import Actor, find, require_member
from app.lab.reservations import settle
from app.providers._shapes import Phase
from app.queue import ADVANCE_RUN, enqueue
from app.runs.batch_pieces import open_batch
from app.runs.hosted import Place, at_service, find_row, place_of, provider_of, put, set_run
from app.runs.hosted_look import decision
from app.runs.lifecycle import move
from app.runs.paused import resume
from app.tables import RemoteJobRow, ReplyRow, ReplyState, Run, RunState, Sent


def adopt_job(session: Session, actor: Actor, run_id: int, remote_id: str) -> Run:
    """Says that the job `remote_id` is the run's. The service is asked before that is believed."""
    require_member(actor, "decide about runs")
    run, row = _undecided(session, actor, run_id)
    remote_id = remote_id.strip()
    if not remote_id or len(remote_id) > 300 or not remote_id.isprintable() or " " in remote_id:
        raise Invalid(
            "That is no job's id.", "Copy it from the service's page of the job.", {"remote_id": "no id"}
        )
    other = session.exec(
        select(RemoteJobRow.run_id).where(
            RemoteJobRow.remote_id == remote_id, RemoteJobRow.provider == row.provider
        )
    ).first()
    if other is not None:
        raise Conflict(f"Job {remote_id} belongs to run {other}.", "Look at its launch key at the service.")
    _decide(session, actor, run, row, f"says that the job is {remote_id}", claimed_id=remote_id)
    set_run(session, run, due_at=None)
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def create_again(session: Session, actor: Actor, run_id: int) -> Run:
    """Lets the create be sent once more. If the first one took effect after all, two trainings are paid."""
    require_member(actor, "launch runs")
    run, row = _undecided(session, actor, run_id)
    if run.cancel_asked:
        raise Conflict("The run is to be cancelled.", "Give it up, or clone it.")
    _decide(session, actor, run, row, "lets it be created again", sent=Sent.NO, not_confirmed=False, looks=0)
    move(session, run, RunState.SUBMITTING, error="", hint="")
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def give_up(session: Session, actor: Actor, run_id: int) -> Run:
    """Ends a run whose job nobody can find or reach. What it costs at the service, if it is there, is not known."""
    require_member(actor, "decide about runs")
    run: Run = find(session, actor, Run, run_id)
    row = find_row(session, run_id) if at_service(run) else None
    unconfirmed = run.state == RunState.UNKNOWN and row is not None and row.not_confirmed
    if run.state != RunState.PAUSED and not unconfirmed:
        raise Conflict(
            f"Run {run_id} is {run.state}: there is nothing to give up.",
            "Cancel it, or wait for its looks to end.",
        )
    label = provider_of(run.model).label if row else "the service"
    error = f"Given up by {actor.name} without an answer."
    if row is not None:
        _decide(session, actor, run, row, "gave the run up")
        if row.sent in (Sent.SENDING, Sent.YES):
            named = f"Job {row.remote_id}" if row.remote_id else f"A job with the key {run.launch_key}"
            error += f" {named} may still be at {label} and cost money: look there."
    to = RunState.CANCELLED if run.cancel_asked else RunState.FAILED
    cost = run.cost_microdollars
    move(session, run, to, error=error, hint="")
    if row is not None and row.sent in (Sent.SENDING, Sent.YES):
        # Nobody knows better: budgets count it as if it had run to its end.
        settle(session, run_id, max(cost, int(run.estimate.get("microdollars") or 0)))
    return run


def go_on(session: Session, actor: Actor, run_id: int) -> Run:
    """Lets a paused run go on now."""
    require_member(actor, "decide about runs")
    run: Run = find(session, actor, Run, run_id)
    if run.state != RunState.PAUSED or not resume(session, run):
        raise Conflict(f"Run {run_id} is {run.state}, not paused.", "Look at its page again.")
    enqueue(session, ADVANCE_RUN, run_id)
    return run


def cancel_paused(session: Session, run: Run) -> bool:
    """A paused run whose job or batch may be at its service: it goes on, to be cancelled there. False when there is none."""
    row = find_row(session, run.id) if place_of(run) == Place.HOSTED else None
    if open_batch(session, run):
        run.cancel_asked = True
        session.add(run)
        session.flush()
        return move(session, run, RunState.PREDICTING, error="", hint="")
    if row is None or row.sent in (Sent.NO, Sent.REFUSED):
        return False
    run.cancel_asked = True
    session.add(run)
    session.flush()
    return resume(session, run)


def prepare_retry(session: Session, run: Run) -> bool:
    """Before a hosted run is retried: whether its training is done and only what came after is done again. Questions
    without an answer are asked again, answers are kept.

    Else its job is forgotten and a new key made, so that the old job is never taken for the new one.
    """
    session.execute(
        update(ReplyRow)
        .where(col(ReplyRow.run_id) == run.id, col(ReplyRow.state) == ReplyState.FAILED)
        .values(state=ReplyState.WAITING, attempts=0, error=None, batch_id=None)
    )
    row = find_row(session, run.id)
    if row is None:
        return False
    if row.sent == Sent.YES and row.phase == Phase.DONE:
        return True
    session.delete(row)
    earlier = [*run.snapshot.get("earlier_keys", []), run.launch_key]
    run.snapshot = {**run.snapshot, "earlier_keys": earlier}
    run.launch_key = f"tb-{secrets.token_hex(8)}"
    session.add(run)
    session.flush()
    return False


def _undecided(session: Session, actor: Actor, run_id: int) -> tuple[Run, RemoteJobRow]:
    run: Run = find(session, actor, Run, run_id)
    row = find_row(session, run_id)
    if run.state != RunState.UNKNOWN or row is None or not row.not_confirmed:
        raise Conflict(
            f"Run {run_id} is {run.state} and not waiting for a decision.", "Look at its page again."
        )
    return run, row


def _decide(session: Session, actor: Actor, run: Run, row: RemoteJobRow, what: str, **values: object) -> None:
    put(session, run, decisions=[*row.decisions, decision(actor.name, what)], wait_until=None, **values)
