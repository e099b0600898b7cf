"""The plots of a comparison: the part of the page, and each figure as SVG, PDF and the CSV behind it."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from app.comparisons.choice_form import Asked
from app.comparisons.figure_data import figure_data, figures
from app.comparisons.queries import choose
from app.errors import NotFound
from app.figures import csv_bytes, figure_kinds, inline_svg, pdf_bytes, standalone_svg
from app.web.pages import fragment, is_htmx, page
from app.web.session import Acting, Database

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
    # The figures' own writer escapes what comes from data.
    drawn = [
        (figure, Markup(inline_svg(figure)))
        for figure in figures(session, choose(session, actor, choice), choice.subset)
    ]
    if is_htmx(request):
        return fragment("comparisons/_plots.html", drawn=drawn, query=choice.query())
    return page(request, "comparisons/plots.html", "Plots", drawn=drawn, query=choice.query())


@router.get("/compare/figures/{file}")
@api_router.get("/comparisons/figures/{file}")
def get_figure(file: str, session: Database, actor: Acting, choice: Asked) -> Response:
    """One figure as `<name>.svg`, `.pdf` or `.csv`: scores, learning_curve, by_label, by_group, calibration,
    entropy, confusion. The runs and the subset stand in the query, as for a comparison."""
    name, _, ending = file.rpartition(".")
    kind = next((kind for kind in figure_kinds() if kind.name == name), None)
    if kind is None or ending not in WRITERS:
        names = ", ".join(kind.name for kind in figure_kinds())
        raise NotFound(f"There is no figure {file!r}.", f"Figures are {names}, each as .svg, .pdf or .csv.")
    figure = kind.draw(figure_data(session, choose(session, actor, choice), choice.subset))
    if figure is None:
        raise NotFound(
            f"These runs have no data for the figure {name!r}.",
            "The plots of the comparison list those that have.",
        )
    write, media_type = WRITERS[ending]
    headers = {"content-disposition": f'attachment; filename="{file}"'}
    return Response(write(figure), media_type=media_type, headers=headers)
