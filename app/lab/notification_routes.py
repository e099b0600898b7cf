"""What the member was told, and where they are told beside the app."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.config import settings
from app.errors import Invalid
from app.lab.actor import Actor
from app.lab.channels import EMAIL, WEBHOOK, add_channel, list_channels, remove_channel, try_channel
from app.lab.notifications import DONE, FAILED, MONEY, WAITING, WORDS, list_notes, mark_read, unread
from app.tables import Member
from app.web.forms import Posted, text, texts
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
PAGE = "/lab/notifications"
USUAL = [DONE, FAILED, WAITING, MONEY]


@router.get("/lab/notifications")
def notifications_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """The newest notifications, and the member's channels."""
    return _page(request, session, actor)


@router.post("/lab/notifications/read")
def read_all(session: Database, actor: Acting) -> Response:
    """All are read."""
    mark_read(session, actor)
    return see(PAGE)


@router.post("/lab/notifications/channels")
def add(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Adds a channel."""
    medium, target, kinds = text(form, "medium"), text(form, "target"), texts(form, "kinds")
    try:
        add_channel(session, actor, medium, target, kinds)
    except Invalid as error:
        session.rollback()
        return _page(
            request, session, actor, 422, {"medium": medium, "target": target, "kinds": kinds}, error.fields
        )
    return see(f"{PAGE}#channels")


@router.post("/lab/notifications/channels/{channel_id}/remove")
def remove(channel_id: int, session: Database, actor: Acting) -> Response:
    """Takes a channel away."""
    remove_channel(session, actor, channel_id)
    return see(f"{PAGE}#channels")


@router.post("/lab/notifications/channels/{channel_id}/test")
def test(channel_id: int, session: Database, actor: Acting) -> Response:
    """Sends a test through a channel."""
    try_channel(session, actor, channel_id)
    return see(f"{PAGE}#channels")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    status: int = 200,
    values: dict[str, object] | None = None,
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    own = session.get_one(Member, actor.member_id).email or ""
    mail = bool(settings().smtp_url)
    return page(
        request, "lab/notifications.html", "Notifications", status=status, is_admin=actor.is_admin,
        notes=list_notes(session, actor), unread=unread(session, actor), channels=list_channels(session, actor),
        words=WORDS, own=own, mail=mail, errors=errors or {},
        media=[(WEBHOOK, "Webhook (Slack, Mattermost, Discord, ...)"), *([(EMAIL, "E-mail")] if mail else [])],
        values=values or {"medium": EMAIL if mail else WEBHOOK, "target": own if mail else "", "kinds": USUAL},
    )  # fmt: skip
