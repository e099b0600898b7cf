"""The run page with its scores, the predictions CSV, and re-scoring under other answer rules."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from app.errors import Invalid
from app.evaluations import run_rows
from app.evaluations.downloads import predictions_csv
from app.evaluations.judge_routes import router as judge_router
from app.evaluations.rules_form import read_rules_form
from app.evaluations.run_list_routes import router as list_router
from app.evaluations.run_page import run_page
from app.evaluations.service import rescore_run
from app.export_formats import download_links
from app.runs.queries import run_view
from app.web.forms import Posted
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(judge_router)
router.include_router(list_router)
ROWS = {
    name: getattr(run_rows, name)
    for name in (
        "status_facts",
        "service_rows",
        "reply_rows",
        "ledger_rows",
        "told_rows",
        "file_rows",
        "snapshot_rows",
        "alias_lines",
    )
}
ROWS["download_links"] = download_links


@router.get("/runs/{run_id}")
def show_run(
    request: Request, run_id: int, session: Database, actor: Acting, show: str = "all", after: int = -1
) -> HTMLResponse:
    """One run. A failed run opens on its log."""
    view = run_page(session, actor, run_id, "wrong" if show == "wrong" else "all", after)
    return page(request, "runs/page.html", view.run.name, view=view, rules_error=None, **ROWS)


@router.get("/runs/{run_id}/status")
def status(run_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """The head of the run page, which asks again while the run is under way."""
    run = run_view(session, actor, run_id)
    # When the run ends, the page is read anew: scores, files and predictions have appeared.
    headers = {} if run.active else {"HX-Refresh": "true"}
    return fragment("runs/_status.html", headers=headers, view={"run": run}, **ROWS)


@router.get("/runs/{run_id}/predictions.csv")
def predictions(run_id: int, session: Database, actor: Acting, raw: bool = False) -> StreamingResponse:
    """The test-set predictions."""
    return predictions_csv(session, actor, run_id, raw)


@router.post("/runs/{run_id}/rules")
def rescore(request: Request, run_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Scores the same answers under other rules, at once."""
    try:
        rescore_run(session, actor, run_id, read_rules_form(form))
    except Invalid as error:
        session.rollback()
        view = run_page(session, actor, run_id)
        return page(
            request, "runs/page.html", view.run.name, status=422, view=view, rules_error=error, **ROWS
        )
    return see(f"/runs/{run_id}#rules")
