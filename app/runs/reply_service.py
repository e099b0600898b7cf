"""What a person asks of a run's predictions at a service, and what the page shows of them."""

from dataclasses import dataclass

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.catalog.ways import BATCH, CHAT
from app.clock import now
from app.errors import Conflict, Invalid
from app.format import plural
from app.lab.actor import Actor, find, require_member
from app.lab.reservations import reopen
from app.queue import ADVANCE_RUN, enqueue
from app.runs.batch_pieces import free
from app.runs.hosted import at_service
from app.runs.lifecycle import move
from app.runs.paused import resume
from app.runs.reply_rows import count, note_down, noted
from app.tables import FINAL, RemoteBatchRow, ReplyRow, ReplyState, Run, RunState, Sent

MOST_ERRORS = 3


@dataclass(frozen=True)
class RepliesView:
    """How far a run's questions are. `way` "chat" or "batch" and why; `errors`: the commonest sentences of items
    without an answer, with how many; `batches`: each as a sentence."""

    way: str
    reason: str
    waiting: int
    answered: int
    failed: int
    errors: tuple[tuple[str, int], ...]
    batches: tuple[str, ...]
    unconfirmed: bool
    can_ask_again: bool
    can_change_way: str


def replies_view(session: Session, run: Run) -> RepliesView | None:
    """The panel of a run that asks a service; None before its first question."""
    if not at_service(run):
        return None
    counts = count(session, run.id or 0)
    if not counts.total:
        return None
    batches = session.exec(
        select(RemoteBatchRow).where(RemoteBatchRow.run_id == run.id).order_by(col(RemoteBatchRow.id))
    ).all()
    failed = session.exec(
        select(ReplyRow.error, func.count())
        .where(ReplyRow.run_id == run.id, ReplyRow.state == ReplyState.FAILED)
        .group_by(ReplyRow.error)
        .order_by(func.count().desc())
        .limit(MOST_ERRORS)
    ).all()
    way, ended = str(noted(run, "way") or ""), run.state in FINAL
    return RepliesView(
        way=way,
        reason=str(noted(run, "reason") or ""),
        waiting=counts.waiting,
        answered=counts.answered,
        failed=counts.failed,
        errors=tuple((error or "no reason was given", number) for error, number in failed),
        batches=tuple(_sentence(row) for row in batches),
        unconfirmed=any(row.sent == Sent.SENDING and row.read_at is None for row in batches),
        can_ask_again=run.state == RunState.DONE and counts.failed > 0 and run.fold is None,
        can_change_way=CHAT if way == BATCH and not ended else "",
    )


def _sentence(row: RemoteBatchRow) -> str:
    name = row.remote_id or row.launch_key
    if row.sent == Sent.SENDING and row.read_at is None:
        return f"{name}: sent, its answer was lost; it is looked for"
    unsaid = {Sent.REFUSED: "refused", Sent.SENDING: "its answer was lost"}
    state = row.state or unsaid.get(Sent(row.sent), "not sent yet")
    return f"{name}: {state}, {row.done:,} of {row.total:,} answered; {row.message}".removesuffix("; ")


def ask_again(session: Session, actor: Actor, run_id: int) -> int:
    """Asks again for the items of a finished run that have no answer; gives how many. Its scores are made anew when
    they have come; what was answered stays."""
    require_member(actor, "ask models again")
    run: Run = find(session, actor, Run, run_id)
    failed = count(session, run_id).failed
    if run.state != RunState.DONE or not failed:
        why = f"it is {run.state}" if failed else "every item has an answer"
        raise Conflict(
            f"There is nothing to ask again for run {run_id}: {why}.",
            "Retry it if it has failed or was cancelled.",
        )
    if run.fold is not None:
        raise Conflict("A fold's answers are pooled with the others'.", "Clone the run instead.")
    reopen(session, run, kept=True)
    session.execute(
        update(ReplyRow)
        .where(col(ReplyRow.run_id) == run_id, col(ReplyRow.state) == ReplyState.FAILED)
        .values(state=ReplyState.WAITING, attempts=0, error=None, batch_id=None)
    )
    note_down(session, run, wait_until=None, failures=0)
    note = f"asks again for {plural(failed, 'item')}"
    if not move(session, run, RunState.PREDICTING, ended_at=None, cancel_asked=False, progress_note=note):
        raise Conflict(f"Run {run_id} has moved on.", "Look at its page again.")
    enqueue(session, ADVANCE_RUN, run_id)
    return failed


def predict_by(session: Session, actor: Actor, run_id: int, way: str) -> Run:
    """Sends what still waits by another way. A batch that is under way is waited for; one that is not confirmed is
    given up, which the run's notes say."""
    require_member(actor, "predict with models")
    run: Run = find(session, actor, Run, run_id)
    if way not in (CHAT, BATCH):
        raise Invalid(f"There is no way {way!r}.", "Write chat or batch.", {"way": "chat or batch"})
    if run.state in FINAL or not at_service(run):
        raise Conflict(f"Run {run_id} is {run.state}: it asks nothing more.", "Clone it and choose there.")
    note_down(session, run, way=way, reason=f"Chosen by {actor.name}.", wait_until=None)
    lost = session.exec(
        select(RemoteBatchRow).where(
            RemoteBatchRow.run_id == run_id,
            RemoteBatchRow.sent == Sent.SENDING,
            col(RemoteBatchRow.read_at).is_(None),
        )
    ).all()
    for row in lost:
        row.read_at, row.message = now(), f"given up by {actor.name}; it may still cost money at the service"
        session.add(row)
        free(session, run, row)
    if run.state == RunState.PAUSED:
        resume(session, run)
    enqueue(session, ADVANCE_RUN, run_id)
    return run
