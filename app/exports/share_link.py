"""Links by which a stranger reads one comparison, and nothing else. Called by the paper page, the API and /shared.

What is shared is the page of a paper bundle, as it was when the link was made: the same bytes as reviewers get.
"""

import re
import zipfile
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from app.clock import now
from app.comparisons.run_ids import parse_runs
from app.errors import Invalid, NotFound
from app.exports.paper_queue import queue_paper
from app.exports.state import read_state
from app.lab.actor import Actor, require_member
from app.lab.audit import record
from app.lab.sign_in import digest, make_token
from app.runs.lock import check_unlocked
from app.storage import export_file
from app.tables import Export, ExportState, Token, TokenKind

DAY = 24 * 3600
LONGEST_DAYS = 3 * 365
FILES = re.compile(r"index\.html|style\.css|items-\d{3,6}\.html")


@dataclass(frozen=True)
class ShareLine:
    """One link that still opens; its secret is not kept and cannot be shown again."""

    id: int
    title: str
    runs: str
    inputs: bool
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Shared:
    """What a link opens: the text of one file, or how far its making is."""

    title: str
    state: str
    text: str = ""


def share_comparison(session: Session, actor: Actor, runs: str, inputs: bool, days: int) -> str:
    """A new link's secret, to be shown once; the page is made by the worker. Raises Invalid for days out of range,
    NotFound for runs that the actor may not see, Forbidden while their test set is locked."""
    require_member(actor, "share comparisons")
    ids = parse_runs([runs])
    state = read_state(session, actor, ids)
    check_unlocked(session, ids)
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid(
            "The link lasts too long or too short.", f"Use 1 to {LONGEST_DAYS} days.", {"days": "1 to 1095"}
        )
    export = queue_paper(session, actor, {"runs": runs, "inputs": inputs, "data": False})
    title = f"{state.dataset.name}: comparison of {len(state.runs)} runs"[:200]
    about = {"export_id": export.id, "runs": runs, "inputs": inputs}
    secret = make_token(session, actor, TokenKind.SHARE, title, seconds=days * DAY, about=about)
    record(session, actor, "changed", "share: made", runs=runs, inputs=inputs, days=days)
    return secret


def list_shares(session: Session, actor: Actor) -> list[ShareLine]:
    """The project's live links, newest first."""
    rows = session.exec(select(Token).where(*_live(actor)).order_by(col(Token.id).desc()))
    return [
        ShareLine(
            row.id or 0, row.name, row.about["runs"], row.about["inputs"], row.created_at, row.expires_at
        )
        for row in rows
    ]


def end_share(session: Session, actor: Actor, share_id: int) -> None:
    """The link opens nothing from now on. Raises NotFound for one that is not of the actor's project."""
    require_member(actor, "end shares")
    token = session.exec(select(Token).where(Token.id == share_id, *_live(actor))).first()
    if token is None:
        raise NotFound(f"There is no link {share_id} here.", "Look for it in the list of shared links.")
    token.ended_at = now()
    record(session, actor, "changed", "share: ended", token.id)
    session.flush()


def read_shared(session: Session, secret: str, name: str) -> Shared:
    """What a stranger gets for one file of a shared page. Raises NotFound for a link that never was or is over, and
    for a file that the page does not have: the two look alike."""
    token = session.exec(
        select(Token).where(
            Token.digest == digest(secret),
            Token.kind == TokenKind.SHARE,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > now(),
        )
    ).first()
    if token is None or not FILES.fullmatch(name):
        raise _over()
    export = session.get(Export, token.about["export_id"])
    if export is None or export.state == ExportState.FAILED:
        raise _over()
    if export.state != ExportState.READY:
        return Shared(token.name, "preparing")
    try:
        with zipfile.ZipFile(export_file(export.id or 0)) as bundle:
            return Shared(token.name, "ready", bundle.read(f"page/{name}").decode())
    except (KeyError, FileNotFoundError):
        raise _over() from None


def _over() -> NotFound:
    return NotFound(
        "This link opens nothing.", "It was ended or is too old: ask whoever sent it for a new one."
    )


def _live(actor: Actor) -> tuple[Any, ...]:
    return (
        Token.project_id == actor.project_id,
        Token.kind == TokenKind.SHARE,
        col(Token.ended_at).is_(None),
        col(Token.expires_at) > now(),
    )
