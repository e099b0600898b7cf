"""Paused runs: what they wait for is a working key or money; here they go on. Called by workers, pages and settings.

A paused run is looked at now and then: one cheap check of its key, and it goes on where it stood.
"""

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from app.clock import in_seconds
from app.db import session_scope
from app.errors import ProviderError, Unavailable
from app.providers._shapes import Phase
from app.queue import ADVANCE_RUN, enqueue
from app.runs.hosted import PAUSED_SECONDS, PROMPT, Place, Save, find_row, place_of, provider_of, set_run
from app.runs.lifecycle import move
from app.settings.access import access_for, open_api
from app.tables import RemoteJobRow, Run, RunState, Sent


def paused(run: Run, save: Save) -> None:
    """Goes on when the service takes the key; else keeps waiting with what it says now."""
    said = _refusal(run)
    with save() as session:
        if said is None:
            resume(session, run)
        else:
            set_run(
                session,
                run,
                error=said.message[:2000],
                hint=said.hint[:2000],
                due_at=in_seconds(PAUSED_SECONDS),
            )


def _refusal(run: Run) -> ProviderError | None:
    try:
        provider = provider_of(run.model)
    except Unavailable:
        # An endpoint of the Settings page: only asking it tells.
        return None
    try:
        with session_scope(write=False) as session:
            access, _, allow_private = access_for(session, provider, run.project_id, run.maker_id)
        with open_api(access, provider, allow_private) as api:
            provider.check_key(api)
    except ProviderError as error:
        return error
    return None


def resume(session: Session, run: Run) -> bool:
    """Moves a paused run to where it goes on; False when it has moved meanwhile."""
    row = find_row(session, run.id) if place_of(run) == Place.HOSTED else None
    values = {"progress_note": "goes on", "error": "", "hint": ""}
    return move(session, run, _next_state(run, row), **values)


def _next_state(run: Run, row: RemoteJobRow | None) -> RunState:
    if row is None or row.sent in (Sent.NO, Sent.REFUSED):
        return RunState.QUEUED
    if row.sent == Sent.SENDING:
        # One that was restored before its files were written gets them before its job is looked for.
        return RunState.UNKNOWN if "tokens" in run.snapshot else RunState.QUEUED
    if row.phase == Phase.DONE and row.rescued_at is not None:
        return RunState.PREDICTING
    return RunState.TRAINING


def nudge_paused(session: Session, provider: str, project_id: int) -> int:
    """Lets the paused runs of a provider look at their key at once, since it has just been found to work or was
    replaced; gives how many."""
    mine = or_(col(Run.model).startswith(f"{provider}/"), col(Run.model).startswith(f"{PROMPT}/{provider}/"))
    waiting = (Run.project_id == project_id, Run.state == RunState.PAUSED, mine)
    found = list(session.exec(select(Run.id).where(*waiting)))
    session.execute(update(Run).where(col(Run.id).in_(found)).values(due_at=None))
    for run_id in found:
        enqueue(session, ADVANCE_RUN, run_id or 0)
    return len(found)
