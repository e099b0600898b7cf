"""Asks for exports. Called by pages and the API; the worker makes them (make.py)."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col

from app.errors import Conflict, Invalid
from app.exports.kinds import KINDS, Kind
from app.exports.push_now import ONCE, held_by_this_process
from app.lab.actor import Actor, find, owned, require_member
from app.queue import MAKE_EXPORT, enqueue
from app.runs.lock import check_unlocked
from app.storage import export_path, remove
from app.stored_files import forget, has
from app.tables import Export, ExportState, Run

UNDER_WAY = (ExportState.QUEUED, ExportState.WORKING)


def queue_export(
    session: Session, actor: Actor, run_id: int, kind: str, parameters: Mapping[str, Any], once: bool = False
) -> Export:
    """The export, queued; the same again gives the one that is there, unless it failed or was a push.

    With `once` the caller pushes itself, with a token that it does not store (push_now.py).
    """
    require_member(actor, "make exports")
    run: Run = find(session, actor, Run, run_id)
    check_unlocked(session, [run_id])
    found = kind_named(kind)
    if once and not found.pushes:
        raise Invalid(f"{kind} takes no token.", "Leave the token out.", {"token": "not used"})
    found.fits(run)
    asked = found.check(parameters) | ({"token": ONCE} if once else {})
    same = _same(session, actor, run_id, kind, asked)
    if same is not None and (
        same.state in UNDER_WAY or (same.state == ExportState.READY and not found.pushes)
    ):
        return same
    export = Export(
        project_id=actor.project_id, maker_id=actor.member_id, kind=kind, run_id=run_id, parameters=asked
    )
    if same is not None and same.state == ExportState.FAILED:
        session.delete(same)
    if once:
        export.state = ExportState.WORKING
        export.owner, export.lease_until = held_by_this_process()
    session.add(export)
    session.flush()
    if not once:
        enqueue(session, MAKE_EXPORT, export.id or 0)
    return export


def kind_named(name: str) -> Kind:
    """The kind; raises Invalid that says which there are."""
    if name not in KINDS:
        raise Invalid(
            f"There is no export {name[:50]!r}.", f"Choose one of {', '.join(KINDS)}.", {"kind": "unknown"}
        )
    return KINDS[name]


def _same(session: Session, actor: Actor, run_id: int, kind: str, asked: Mapping[str, Any]) -> Export | None:
    rows = session.exec(
        owned(actor, Export)
        .where(Export.run_id == run_id, Export.kind == kind)
        .order_by(col(Export.id).desc())
    )
    for row in rows:
        gone = row.state == ExportState.READY and row.file_name and not has(export_path(row.id or 0))
        if row.parameters == asked and not gone:
            return row
    return None


def remove_export(session: Session, actor: Actor, export_id: int) -> int:
    """Takes a finished export away with its file; gives the run's id."""
    require_member(actor, "remove exports")
    export: Export = find(session, actor, Export, export_id)
    if export.state in UNDER_WAY:
        raise Conflict(f"Export {export_id} is {export.state}.", "Wait until it is over.")
    session.delete(export)
    session.flush()
    forget(session, export_path(export_id))
    remove(export_path(export_id))
    return export.run_id or 0


def exports_of(session: Session, actor: Actor, run_id: int) -> list[Export]:
    """A run's exports, newest first, those of this part's kinds."""
    find(session, actor, Run, run_id)
    query = owned(actor, Export).where(Export.run_id == run_id, col(Export.kind).in_(list(KINDS)))
    return list(session.exec(query.order_by(col(Export.id).desc())))
