"""The "Share" section of the run page: ask for exports, see them come, take them. Included by routes.py."""

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from app.errors import TunebookError
from app.exports.downloads import export_download
from app.exports.page import share_view
from app.exports.push_now import push_now
from app.exports.service import queue_export, remove_export
from app.web.forms import Posted, text
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()
FIELDS = ("precision", "license", "language", "dataset_repo", "repo", "private", "url", "experiment")


@router.get("/runs/{run_id}/exports")
def share_page(request: Request, run_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """What can be made of a run, and what was made."""
    view = share_view(session, actor, run_id)
    return page(request, "exports/share.html", f"Share run {run_id}", view=view, error=None, tried={})


@router.get("/runs/{run_id}/exports/list")
def share_list(run_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """The list alone; it asks again while anything is being made."""
    return fragment("exports/_list.html", view=share_view(session, actor, run_id))


@router.post("/runs/{run_id}/exports")
def ask(
    request: Request, run_id: int, background: BackgroundTasks, session: Database, actor: Acting, form: Posted
) -> Response:
    """Asks for an export. A token in the form is used for this push alone and never stored."""
    token = text(form, "token")
    asked: dict[str, str] = {name: text(form, name) for name in FIELDS if name in form}
    kind = text(form, "kind")
    try:
        export = queue_export(session, actor, run_id, kind, asked, once=bool(token))
    except TunebookError as error:
        if error.status not in (409, 422):
            raise
        session.rollback()
        view = share_view(session, actor, run_id)
        tried = {**asked, "kind": kind}
        return page(
            request,
            "exports/share.html",
            f"Share run {run_id}",
            status=error.status,
            view=view,
            error=error,
            tried=tried,
        )
    if token:
        background.add_task(push_now, export.id or 0, token)
    return see(f"/runs/{run_id}/exports#export-{export.id}")


@router.get("/exports/{export_id}/file")
def file(export_id: int, session: Database, actor: Acting) -> FileResponse:
    """The finished file."""
    return export_download(session, actor, export_id)


@router.post("/exports/{export_id}/remove")
def remove(export_id: int, session: Database, actor: Acting) -> Response:
    """Takes a finished export away, to free its space."""
    return see(f"/runs/{remove_export(session, actor, export_id)}/exports")
