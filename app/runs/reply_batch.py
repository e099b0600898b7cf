"""Predicting by batch: pieces of questions are sent by the same rules as a paid job, and read when they have ended.

`sent=sending` is committed before a create leaves. Whoever finds it so looks for the batch by its launch key and adopts
it; it is sent once more only where the service itself makes that safe. What a batch leaves without an answer goes into
another piece, or by chat. Called by hosted_predict.py under the run's lease.
"""

import json
from typing import Any

from sqlmodel import select

from app.catalog.ways import BATCH, CHAT
from app.clock import now
from app.config import settings
from app.db import sync_to_disk
from app.errors import AlreadyThere, Busy, Gone, KeyRefused, OutOfCredit, ProviderError, Refused, Unclear
from app.providers._base import Batch, Repeat
from app.providers._shapes import ENDED, Phase, RemoteBatch
from app.runs.batch_pieces import file_of, free, make_piece, open_rows, put_piece
from app.runs.batch_results import keep_results
from app.runs.hosted import Save, pause_run, pause_seconds
from app.runs.hosted_files import write_whole
from app.runs.reply_plan import Plan
from app.runs.reply_rows import again, note_down
from app.service_http import Api
from app.tables import RemoteBatchRow, Run, Sent

SLOWEST_POLL = 60.0
LARGEST_RAW = 200_000


def batch_step(plan: Plan, save: Save, way: str) -> bool:
    """One step of the run's batches: makes, sends, looks for, asks about or reads one. False where there is nothing
    for a batch to do, so that the rest goes by chat."""
    batch = plan.target.provider.batch
    rows = open_rows(plan.run)
    if batch is None or (way != BATCH and not rows):
        return False
    if not rows:
        return make_piece(plan, save, batch)
    with plan.target.open() as api:
        for row in rows:
            _advance(plan, save, batch, api, row)
    return True


def _advance(plan: Plan, save: Save, batch: Batch, api: Api, row: RemoteBatchRow) -> None:
    if row.sent == Sent.NO:
        _send(plan, save, batch, api, row)
    elif row.sent == Sent.SENDING:
        _look(plan, save, batch, api, row)
    else:
        _ask(plan, save, batch, api, row)


class _Cancelled(Exception):
    """The run was to be cancelled just before its batch was created."""


def _send(plan: Plan, save: Save, batch: Batch, api: Api, row: RemoteBatchRow) -> None:
    run, path = plan.run, file_of(plan.run, row)

    def creating() -> None:
        with save() as session:
            if session.exec(select(Run.cancel_asked).where(Run.id == run.id)).one():
                raise _Cancelled
            put_piece(session, row, sent=Sent.SENDING, sent_at=now(), looks=0)
        sync_to_disk()

    try:
        if batch.says_creating:
            api.creating = creating
        else:
            creating()
        made = batch.submit(api, path, plan.target.model, plan.decoding, row.launch_key)
    except _Cancelled:
        return
    except (Busy, KeyRefused, OutOfCredit):
        with save() as session:
            put_piece(session, row, sent=Sent.NO)
        raise
    except (Unclear, AlreadyThere) as error:
        with save() as session:
            put_piece(session, row, message=error.message[:1000])
            again(session, run, progress_note="looks for its batch at the service")
    except Refused as error:
        _refused(plan, save, row, error.message)
    else:
        _adopt(plan, save, row, made)


def _adopt(plan: Plan, save: Save, row: RemoteBatchRow, made: RemoteBatch) -> None:
    with save() as session:
        put_piece(session, row, sent=Sent.YES, looks=0, **_seen(made))
        note = f"batch {made.id}: {made.state}"
        again(session, plan.run, settings().remote_poll_seconds, progress_note=note[:300])


def _seen(found: RemoteBatch) -> dict[str, Any]:
    return {
        "remote_id": found.id[:300],
        "state": found.state[:100],
        "phase": found.phase,
        "done": max(found.done, 0),
        "message": found.message[:1000],
    }


def _look(plan: Plan, save: Save, batch: Batch, api: Api, row: RemoteBatchRow) -> None:
    """The create's answer was lost: the batch is looked for, and adopted; others of its key are stopped."""
    times, looks = settings().look_times, row.looks + 1
    found = [each for each in batch.find(api, row.launch_key) if each.launch_key in ("", row.launch_key)]
    if found:
        oldest, *others = sorted(found, key=lambda each: (each.created_at or float("inf"), each.id))
        for other in others:
            if other.phase not in ENDED and batch.cancel:
                batch.cancel(api, other.id)
        _adopt(plan, save, row, oldest)
        return
    with save() as session:
        if looks < len(times):
            put_piece(session, row, looks=looks)
            note = f"look {looks} of {len(times)}: {api.access.label} lists no batch of this run yet"
            again(session, plan.run, times[looks] - times[looks - 1], progress_note=note)
        elif batch.repeat in (Repeat.OWN_ID, Repeat.FREE_CREATE):
            put_piece(session, row, sent=Sent.NO, looks=0)
        else:
            said = Unclear(
                f"Not confirmed: whether {api.access.label} took batch {row.launch_key} is not known.",
                "Look at the service. It is looked for now and then; or ask the rest by chat.",
            )
            pause_run(session, plan.run, said)


def _refused(plan: Plan, save: Save, row: RemoteBatchRow, said: str) -> None:
    """The service takes no such batch: its items go by chat where they can, else the run has failed."""
    run = plan.run
    if plan.target.provider.chat is None:
        raise Refused(f"{plan.target.provider.label} refused the batch: {said}")
    with save() as session:
        put_piece(session, row, sent=Sent.REFUSED, phase=Phase.FAILED, message=said[:1000], read_at=now())
        free(session, run, row)
        reason = f"{plan.target.provider.label} refused the batch: {said}"
        note_down(session, run, way=CHAT, reason=reason[:1000])
        again(session, run)


def _ask(plan: Plan, save: Save, batch: Batch, api: Api, row: RemoteBatchRow) -> None:
    """Asks about a batch that the service has; reads it when it has ended."""
    try:
        found = batch.poll(api, row.remote_id)
    except Gone as error:
        _refused(plan, save, row, error.message)
        return
    except (Busy, Unclear, Refused) as error:
        _put_off(plan, save, row, error)
        return
    raw = json.dumps(found.raw, indent=2, default=str).replace(api.access.key or "\0", "[key]")
    write_whole(file_of(plan.run, row, "json"), raw[:LARGEST_RAW].encode("utf-8", "replace"))
    if found.phase not in ENDED:
        with save() as session:
            put_piece(session, row, looks=0, **_seen(found))
            again(session, plan.run, _poll_seconds(row), **_progress(plan, found))
        return
    try:
        answered = keep_results(plan, save, row, found, batch.read(api, found, file_of(plan.run, row, "out")))
    except (Busy, Unclear) as error:
        _put_off(plan, save, row, error)
        return
    _after(plan, save, row, found, answered)


def _poll_seconds(row: RemoteBatchRow) -> float:
    """The longer it goes on, the less often it is asked about."""
    age = (now() - row.sent_at).total_seconds() if row.sent_at else 0.0
    return min(
        max(settings().remote_poll_seconds, age / 20), max(SLOWEST_POLL, settings().remote_poll_seconds)
    )


def _progress(plan: Plan, found: RemoteBatch) -> dict[str, Any]:
    total = found.total or 1
    note = f"batch {found.id}: {found.state}, {found.done:,} of {found.total:,} answered"
    return {"progress": min(max(found.done / total, 0.0), 1.0), "progress_note": note[:300]}


def _put_off(plan: Plan, save: Save, row: RemoteBatchRow, error: ProviderError) -> None:
    seconds = max(error.wait or 0.0, pause_seconds(row.looks))
    with save() as session:
        put_piece(session, row, looks=row.looks + 1)
        again(session, plan.run, seconds, progress_note=error.message[:300])


def _after(plan: Plan, save: Save, row: RemoteBatchRow, found: RemoteBatch, answered: int) -> None:
    """The piece is read. What it left goes by chat where nothing must be deployed for that; so does all, where the
    batch as a whole has failed."""
    left, target = row.total - answered, plan.target
    by_chat = target.provider.chat is not None and not target.needs_deployment
    if not answered and not by_chat and found.phase != Phase.DONE:
        raise Refused(
            f"{target.provider.label} ended the batch ({found.state}) without an answer: {found.message}"
        )
    with save() as session:
        put_piece(session, row, read_at=now(), looks=0, **_seen(found))
        free(session, plan.run, row)
        if left and (by_chat or not answered):
            said = (
                f"The batch ended ({found.state}) without {left:,} of {row.total:,} answers; they go by chat."
            )
            note_down(session, plan.run, way=CHAT, reason=said)
        again(session, plan.run)


def stop_batches(plan: Plan, save: Save) -> bool:
    """Asks the service to stop what is under way, and keeps what was answered by then; True once all have ended."""
    batch, rows = plan.target.provider.batch, open_rows(plan.run)
    if batch is None or not rows:
        return True
    with plan.target.open() as api:
        for row in rows:
            if row.sent == Sent.NO:
                with save() as session:
                    put_piece(session, row, read_at=now(), phase=Phase.CANCELLED)
            elif row.sent == Sent.SENDING:
                _look(plan, save, batch, api, row)
            else:
                _stop(plan, save, batch, api, row)
    return not open_rows(plan.run)


def _stop(plan: Plan, save: Save, batch: Batch, api: Api, row: RemoteBatchRow) -> None:
    try:
        found = batch.poll(api, row.remote_id)
        if found.phase not in ENDED:
            if batch.cancel:
                batch.cancel(api, row.remote_id)
            with save() as session:
                note = f"cancel asked; {api.access.label} still says: {found.state}"
                again(session, plan.run, _poll_seconds(row), progress_note=note[:300])
            return
        keep_results(plan, save, row, found, batch.read(api, found, file_of(plan.run, row, "out")))
    except Gone:
        pass
    with save() as session:
        put_piece(session, row, read_at=now())
        free(session, plan.run, row)
