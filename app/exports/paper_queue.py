"""Asks the worker for a paper bundle. Called by the page and the API."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from app.comparisons.run_ids import parse_runs
from app.exports.service import queue_export
from app.exports.state import read_state
from app.lab.actor import Actor, require_member
from app.tables import Export


def queue_paper(session: Session, actor: Actor, asked: Mapping[str, Any]) -> Export:
    """The export, queued beside its best run; raises NotFound or Invalid as the compare page does."""
    require_member(actor, "make exports")
    runs = parse_runs([str(asked.get("runs", ""))])
    best = read_state(session, actor, runs).best
    flags = {name: asked[name] for name in ("inputs", "data") if name in asked}
    return queue_export(
        session, actor, best.run_id, "paper-bundle", {"runs": ",".join(map(str, runs)), **flags}
    )
