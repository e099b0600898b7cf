"""The compare page."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from app.comparisons.export import wide_csv
from app.comparisons.page import comparison_page
from app.comparisons.queries import compare
from app.comparisons.item_cells import whole_item
from app.comparisons.items import compared_items
from app.comparisons.figure_routes import router as figure_router
from app.comparisons.lab_routes import router as lab_router
from app.comparisons.paired_routes import router as paired_router
from app.comparisons.run_ids import parse_runs
from app.evaluations.downloads import csv_response
from app.web.pages import page
from app.web.session import Acting, Database

router = APIRouter()
Runs = Annotated[list[str], Query()]


router.include_router(figure_router)
router.include_router(lab_router)
router.include_router(paired_router)
@router.get("/compare")
def compare_page(
    request: Request,
    session: Database,
    actor: Acting,
    runs: Runs = [],  # noqa: B006  read only
    a: int | None = None,
    b: int | None = None,
    show: str = "all",
    after: int = -1,
) -> HTMLResponse:
    """Runs side by side; without a choice, how to choose."""
    ids = parse_runs(runs)
    if not ids:
        return page(request, "comparisons/choose.html", "Compare")
    view = comparison_page(compare(session, actor, ids, a=a, b=b, show=show, after=after), after)
    return page(request, "comparisons/page.html", view.title, view=view)


@router.get("/compare.csv")
def compare_csv(session: Database, actor: Acting, runs: Runs, raw: bool = False) -> StreamingResponse:
    """The wide CSV of all chosen runs."""
    ids = parse_runs(runs)
    return csv_response(wide_csv(session, actor, ids, raw), f"comparison-{'-'.join(map(str, ids[:10]))}.csv")
