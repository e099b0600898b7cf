"""The compare page and its parts, each with an address of its own."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from app.comparisons.against_rows import against_csv
from app.comparisons.choice_form import Asked, Subset
from app.comparisons.configurations import configurations
from app.comparisons.export import wide_csv
from app.comparisons.figure_routes import router as figure_router
from app.comparisons.item_cells import whole_item
from app.comparisons.items import compared_items
from app.comparisons.lab_routes import router as lab_router
from app.comparisons.page import comparison_page
from app.comparisons.paired_routes import router as paired_router
from app.comparisons.queries import compare
from app.comparisons.run_ids import parse_runs
from app.errors import NotFound
from app.export_formats import download_links
from app.web.csv_download import csv_response
from app.web.pages import fragment, is_htmx, page
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(figure_router)
router.include_router(lab_router)
router.include_router(paired_router)
Runs = Annotated[list[str], Query()]


@router.get("/compare")
def compare_page(request: Request, session: Database, actor: Acting, choice: Asked) -> HTMLResponse:
    """Runs side by side; without a choice, how to choose. htmx gets the part that it will replace."""
    if not choice.runs:
        return page(request, "comparisons/choose.html", "Compare")
    found = compare(session, actor, choice)
    view = comparison_page(found)
    if is_htmx(request) and request.headers.get("hx-target", "").endswith("#reading"):
        return fragment("comparisons/_reading.html", view=view)
    side_by_side = configurations(session, found.chosen.picked, choice.settings)
    return page(
        request,
        "comparisons/page.html",
        view.title,
        view=view,
        side_by_side=side_by_side,
        downloads=download_links(choice.runs),
    )


@router.get("/compare/reading")
def compare_reading(session: Database, actor: Acting, choice: Asked) -> HTMLResponse:
    """The pair and the items alone."""
    return fragment("comparisons/_reading.html", view=comparison_page(compare(session, actor, choice)))


@router.get("/compare/items/{number}")
def compare_item(
    request: Request, number: int, session: Database, actor: Acting, choice: Asked
) -> HTMLResponse:
    """One item with everything that every run said of it."""
    found = compare(session, actor, choice)
    chosen = found.chosen
    items = compared_items(session, found.columns, chosen.dataset, chosen.split, [number])
    if not items or not any(items[0].answers):
        raise NotFound(f"None of these runs answered an item {number}.", "Open one from the table of items.")
    view = whole_item(choice, chosen.dataset.task, items[0], found.columns)
    if is_htmx(request):
        return fragment("comparisons/_item.html", view=view)
    return page(request, "comparisons/item.html", f"Item in line {view.row.line}", view=view)


@router.get("/compare.csv")
def compare_csv(
    session: Database, actor: Acting, runs: Runs, raw: bool = False, subset: Subset = "all"
) -> StreamingResponse:
    """The wide CSV of all chosen runs, on all items or on those not seen in train."""
    ids = parse_runs(runs)
    name = f"comparison-{'-'.join(map(str, ids[:10]))}{'' if subset == 'all' else f'-{subset}'}.csv"
    return csv_response(wide_csv(session, actor, ids, raw, subset), name)


@router.get("/compare/against.csv")
def compare_against_csv(session: Database, actor: Acting, choice: Asked) -> StreamingResponse:
    """Every compared model against the baseline."""
    return csv_response(against_csv(compare(session, actor, choice)), "against-baseline.csv")
