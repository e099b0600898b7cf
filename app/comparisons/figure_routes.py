"""The plots of a comparison: the part of the page, and each figure as SVG, PDF and the CSV behind it."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup
from sqlmodel import Session

from app.comparisons.choice import Choice
from app.comparisons.choice_form import Asked
from app.comparisons.figure_data import figure_data, figures
from app.comparisons.queries import choose
from app.errors import NotFound
from app.figures import Figure, csv_bytes, figure_kinds, inline_svg, pdf_bytes, standalone_svg
from app.lab.actor import Actor
from app.web.pages import fragment, is_htmx, page
from app.web.session import Acting, Database

# As many runs as one launch makes.
MOST_DRAWN = 500
router = APIRouter()
api_router = APIRouter()
WRITERS = {
    "svg": (standalone_svg, "image/svg+xml"),
    "pdf": (pdf_bytes, "application/pdf"),
    "csv": (csv_bytes, "text/csv; charset=utf-8"),
}


@router.get("/compare/plots")
def compare_plots(request: Request, session: Database, actor: Acting, choice: Asked) -> HTMLResponse:
    """All plots of the chosen runs."""
    chosen = choose(session, actor, choice, MOST_DRAWN)
    return _plots(request, choice, figures(session, chosen, choice.subset))


@router.get("/compare/plots/{name}")
def compare_plot(
    request: Request, name: str, session: Database, actor: Acting, choice: Asked
) -> HTMLResponse:
    """One plot of the chosen runs, as an experiment's page shows it."""
    drawn = _figure(session, actor, choice, name)
    return _plots(request, choice, [drawn])


def _plots(request: Request, choice: Choice, found: list[Figure]) -> HTMLResponse:
    # The figures' own writer escapes what comes from data.
    drawn = [(figure, Markup(inline_svg(figure))) for figure in found]
    if is_htmx(request):
        return fragment("comparisons/_plots.html", drawn=drawn, query=choice.query())
    return page(request, "comparisons/plots.html", "Plots", drawn=drawn, query=choice.query())


@router.get("/compare/figures/{file}")
@api_router.get("/comparisons/figures/{file}")
def get_figure(file: str, session: Database, actor: Acting, choice: Asked) -> Response:
    """One figure as `<name>.svg`, `.pdf` or `.csv`: scores, learning_curve, by_label, by_group, calibration,
    entropy, confusion. The runs and the subset stand in the query, as for a comparison."""
    name, _, ending = file.rpartition(".")
    if ending not in WRITERS:
        raise _no_figure(file)
    write, media_type = WRITERS[ending]
    headers = {"content-disposition": f'attachment; filename="{file}"'}
    figure = _figure(session, actor, choice, name)
    return Response(write(figure), media_type=media_type, headers=headers)


def _figure(session: Session, actor: Actor, choice: Choice, name: str) -> Figure:
    """Raises NotFound for a figure that is none, or that these runs have no data for."""
    kind = next((kind for kind in figure_kinds() if kind.name == name), None)
    if kind is None:
        raise _no_figure(name)
    figure = kind.draw(figure_data(session, choose(session, actor, choice, MOST_DRAWN), choice.subset))
    if figure is None:
        raise NotFound(
            f"These runs have no data for the figure {name!r}.",
            "The plots of the comparison list those that have.",
        )
    return figure


def _no_figure(name: str) -> NotFound:
    names = ", ".join(kind.name for kind in figure_kinds())
    return NotFound(f"There is no figure {name!r}.", f"Figures are {names}, each as .svg, .pdf or .csv.")
