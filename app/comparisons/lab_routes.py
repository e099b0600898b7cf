"""The lab leaderboard's page and CSV."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from app.cells import csv_text
from app.comparisons.lab_leaderboard import LabFilter, lab_leaderboard
from app.comparisons.lab_page import lab_page
from app.comparisons.lab_rows import COLUMNS, csv_line, lab_rows
from app.web.csv_download import csv_response
from app.web.pages import page
from app.web.session import Acting, Database

router = APIRouter()


def chosen_filter(
    task: str = "", group: str = "", size: str = "", price: str = "", by: str = "typical"
) -> LabFilter:
    """The filter as it stands in the address."""
    return LabFilter(task, group, size, price, by)


Chosen = Annotated[LabFilter, Depends(chosen_filter)]
Place = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/compare/lab")
def lab(
    request: Request,
    session: Database,
    actor: Acting,
    chosen: Chosen,
    first_task: Place = 0,
    first_model: Place = 0,
) -> HTMLResponse:
    """Models × tasks of the whole project."""
    view = lab_page(lab_leaderboard(session, actor, chosen), first_task, first_model)
    return page(request, "comparisons/lab.html", "Lab leaderboard", view=view)


@router.get("/compare/lab.csv")
def lab_csv(session: Database, actor: Acting, chosen: Chosen) -> StreamingResponse:
    """One line per task and model."""
    lines = [csv_line(row) for row in lab_rows(lab_leaderboard(session, actor, chosen))]
    return csv_response(csv_text(COLUMNS, lines), "lab-leaderboard.csv")
