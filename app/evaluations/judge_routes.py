"""Pages of judgings: the form, the judging with its marks, and labelling by hand."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from app.cells import csv_text
from app.errors import Invalid
from app.evaluations import hand_labels, judge_items, judge_page
from app.evaluations.judge_csv import COLUMNS, mark_rows
from app.evaluations.judge_form import judge_form, read_request, typed
from app.evaluations.judge_prompts import PAIR
from app.evaluations.judge_service import cancel_judging, resume_judging, start_judging
from app.web.csv_download import csv_response
from app.web.forms import Posted, text, whole
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/runs/{run_id}/judge")
def form_page(
    request: Request, run_id: int, session: Database, actor: Acting, scale: str = "points"
) -> HTMLResponse:
    """What is to be judged, by whom, how, and what it will cost."""
    view = judge_form(session, actor, run_id, scale)
    return page(request, "evaluations/judge.html", "Judge answers", view=view)


@router.post("/runs/{run_id}/judge")
def start(request: Request, run_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Shows the estimate again, or starts."""
    scale, values = text(form, "scale"), typed(form)
    if text(form, "step") != "start":
        view = judge_form(session, actor, run_id, scale, values)
        return page(request, "evaluations/judge.html", "Judge answers", view=view)
    try:
        judging = start_judging(session, actor, read_request(run_id, scale, values))
    except Invalid as error:
        session.rollback()
        view = judge_form(session, actor, run_id, scale, values, error.fields or {"prompt": error.message})
        return page(request, "evaluations/judge.html", "Judge answers", status=422, view=view)
    return see(f"/judgings/{judging.id}")


@router.get("/judgings/{judging_id}")
def show(
    request: Request,
    judging_id: int,
    session: Database,
    actor: Acting,
    show: str = "all",
    after: Annotated[int, Query(ge=0, le=10**8)] = 0,
) -> HTMLResponse:
    """One judging: progress, score, agreement with people, prompt, items."""
    view = judge_page.judging_view(session, actor, judging_id)
    shown = show if show in judge_items.SHOW else "all"
    lines, more = judge_items.mark_lines(session, view.judging, shown, after)
    return page(
        request,
        "evaluations/judging.html",
        view.title,
        view=view,
        agreement=judge_page.agreements(session, view.judging),
        lines=lines,
        show=shown,
        filters=judge_items.filters(view.judging, shown),
        older=f"/judgings/{judging_id}?show={shown}&after={more}#items" if more else "",
        newer=f"/judgings/{judging_id}?show={shown}#items" if after else "",
    )


@router.get("/judgings/{judging_id}/status")
def status(judging_id: int, session: Database, actor: Acting) -> HTMLResponse:
    """The head of the page, which asks again while the judging is under way."""
    view = judge_page.judging_view(session, actor, judging_id)
    headers = {} if view.active else {"HX-Refresh": "true"}
    return fragment("evaluations/_judging.html", headers=headers, view=view)


@router.get("/judgings/{judging_id}/marks.csv")
def marks(judging_id: int, session: Database, actor: Acting) -> StreamingResponse:
    """Every mark with the judge's reply."""
    judging = judge_page.find_judging(session, actor, judging_id)
    lines = list(mark_rows(session, judging))
    return csv_response(csv_text(COLUMNS, lines), f"judging-{judging_id}-marks.csv")


@router.post("/judgings/{judging_id}/cancel")
def cancel(judging_id: int, session: Database, actor: Acting) -> Response:
    """Asks for the end; marks stay."""
    cancel_judging(session, actor, judging_id)
    return see(f"/judgings/{judging_id}")


@router.post("/judgings/{judging_id}/resume")
def resume(judging_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Goes on with what is not marked, and asks failed items again."""
    try:
        cap = float(text(form, "cap")) if text(form, "cap") else None
    except ValueError:
        raise Invalid("The cap is no amount.", "Write dollars, such as 1.50.", {"cap": "no number"}) from None
    resume_judging(session, actor, judging_id, cap)
    return see(f"/judgings/{judging_id}")


@router.get("/judgings/{judging_id}/label")
def label_page(
    request: Request, judging_id: int, session: Database, actor: Acting, item: int | None = None
) -> HTMLResponse:
    """One item to label, blind to the model and to the judge."""
    judging = judge_page.find_judging(session, actor, judging_id)
    shown = hand_labels.next_item(session, actor, judging, item)
    done, enough = hand_labels.labelled(session, actor, judging), min(hand_labels.ENOUGH, judging.items)
    return page(
        request,
        "evaluations/label.html",
        "Label by hand",
        judging=judging,
        pair=judging.scale == PAIR,
        item=shown,
        choices=hand_labels.CHOICES[PAIR if judging.scale == PAIR else "single"],
        done=done,
        enough=enough,
        fraction=min(done / enough, 1),
    )


@router.post("/judgings/{judging_id}/label")
def label(judging_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Stores a label and shows the next item."""
    judging = judge_page.find_judging(session, actor, judging_id)
    number = whole(form, "number", -1)
    hand_labels.store_label(session, actor, judging, number, text(form, "label"))
    return see(f"/judgings/{judging_id}/label")
