"""The page "For the paper" and its files."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from app.comparisons.run_ids import parse_runs
from app.export_formats import download_links
from app.exports.paper_downloads import bundle_file, table_file, text_file
from app.exports.paper_page import paper_page
from app.exports.paper_queue import queue_paper
from app.exports.state import read_state
from app.web.forms import Posted
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
Runs = Annotated[list[str], Query()]


@router.get("/compare/paper")
def show_paper(request: Request, session: Database, actor: Acting, runs: Runs) -> HTMLResponse:
    """Table, Methods, BibTeX and bundle of the chosen runs."""
    ids = parse_runs(runs)
    view = paper_page(read_state(session, actor, ids), ids)
    return page(request, "exports/paper.html", view.title, view=view, downloads=download_links(ids))


@router.get("/compare/paper/{name}")
def paper_text(name: str, session: Database, actor: Acting, runs: Runs) -> Response:
    """scores.tex, scores.md, methods.txt or references.bib."""
    return text_file(session, actor, parse_runs(runs), name)


@router.get("/compare/export")
def export_table(
    session: Database, actor: Acting, runs: Runs, what: str = "predictions", format: str = "csv"
) -> Response:
    """Predictions (long or wide) or scores in any export format."""
    return table_file(session, actor, parse_runs(runs), what, format)


@router.get("/compare/bundle.zip")
def paper_bundle(
    session: Database, actor: Acting, runs: Runs, inputs: bool = False, data: bool = False
) -> Response:
    """Everything behind the comparison in one zip."""
    return bundle_file(session, actor, parse_runs(runs), inputs=inputs, data=data)


@router.post("/compare/bundle")
def queue_bundle(session: Database, actor: Acting, form: Posted) -> Response:
    """Asks the worker for the bundle; the page of the best run's exports shows how far it is."""
    export = queue_paper(session, actor, form)
    return see(f"/runs/{export.run_id}/exports#export-{export.id}")
