"""Read-only links for one comparison: made and ended by members, opened by anybody who has one."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from app.errors import NotFound
from app.exports.share_link import end_share, list_shares, read_shared, share_comparison
from app.render import render
from app.web.forms import Posted, text, whole
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
# The address is the secret: it goes to no other page, and no search engine keeps the text.
HEADERS = {"referrer-policy": "no-referrer", "x-robots-tag": "noindex"}


@router.get("/compare/shares")
def shares_page(request: Request, session: Database, actor: Acting, runs: str = "") -> HTMLResponse:
    """The project's links, and the form for a new one when runs are named."""
    return page(
        request, "exports/shares.html", "Shared links",
        links=list_shares(session, actor), runs=runs, address="", errors={}, days="90", inputs=True,
    )  # fmt: skip


@router.post("/compare/shares")
def make_share(request: Request, session: Database, actor: Acting, form: Posted) -> HTMLResponse:
    """Makes a link and shows it, this once."""
    runs, inputs, days = text(form, "runs"), bool(text(form, "inputs")), whole(form, "days")
    secret = share_comparison(session, actor, runs, inputs, days)
    address = f"{str(request.base_url).rstrip('/')}/shared/{secret}"
    return page(
        request, "exports/shares.html", "Shared links", status=201,
        links=list_shares(session, actor), runs=runs, address=address, errors={}, days=str(days), inputs=inputs,
    )  # fmt: skip


@router.post("/compare/shares/{share_id}/end")
def end_link(share_id: int, session: Database, actor: Acting) -> Response:
    """Ends a link."""
    end_share(session, actor, share_id)
    return see("/compare/shares")


@router.get("/shared/{secret}")
def shared(secret: str) -> Response:
    """To the page itself, whose links are relative."""
    return see(f"/shared/{secret}/index.html")


@router.get("/shared/{secret}/{name}")
def shared_file(secret: str, name: str, session: Database) -> Response:
    """One file of a shared page, for whoever has the link."""
    try:
        found = read_shared(session, secret, name)
    except NotFound as error:
        gone = render("exports/shared_letter.html", title=error.message, text=error.hint)
        return HTMLResponse(gone, 404, HEADERS)
    if found.state != "ready":
        waiting = render(
            "exports/shared_letter.html", title="This page is being made", text="Reload in a moment."
        )
        return HTMLResponse(waiting, 202, {**HEADERS, "retry-after": "5"})
    kind = "text/css; charset=utf-8" if name.endswith(".css") else "text/html; charset=utf-8"
    return PlainTextResponse(found.text, media_type=kind, headers=HEADERS)
