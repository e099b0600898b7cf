"""The first page."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.datasets.queries import list_samples
from app.home.queries import home_view, under_way
from app.web.pages import fragment, page
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/")
def home_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """For a newcomer the three steps; for everybody else what runs, what is newest, what needs a person."""
    view = home_view(session, actor)
    return page(request, "home/page.html", "Home", view=view, samples=list_samples())


@router.get("/home/under-way")
def under_way_fragment(session: Database, actor: Acting) -> HTMLResponse:
    """What runs now; it asks again while anything does, and reads the page anew once nothing does."""
    running = under_way(session, actor)
    headers = {} if running.total else {"HX-Refresh": "true"}
    return fragment("home/_under_way.html", headers=headers, running=running)
