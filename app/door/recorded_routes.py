"""The page of recorded answers: read, correct, mark, make a dataset."""

from dataclasses import asdict
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import Session

from app.door.recorded import SHOWN, AnswerFilter, correct_answer, list_answers, mark_answer, recorded_models
from app.door.recorded_api import Chosen
from app.door.recorded_dataset import dataset_of_answers
from app.errors import TunebookError
from app.lab.actor import Actor
from app.tables import Project
from app.web.forms import Posted, text
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()
WORDS = {"": "all", "good": "marked good", "bad": "marked bad", "unmarked": "not looked at"}


@router.get("/door/answers")
def answers_page(
    request: Request, session: Database, actor: Acting, chosen: Chosen, before: int | None = None
) -> HTMLResponse:
    """Recorded answers, newest first."""
    return _page(request, session, actor, chosen, before)


@router.post("/door/answers/{answer_id}/correct")
def correct(answer_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Puts a person's answer in place of the model's."""
    correct_answer(session, actor, answer_id, text(form, "answer"))
    return see(f"{_address(_posted(form))}#a{answer_id}")


@router.post("/door/answers/{answer_id}/mark")
def mark(answer_id: int, session: Database, actor: Acting, form: Posted) -> Response:
    """Marks an answer good or bad, or takes the mark back."""
    mark_answer(session, actor, answer_id, text(form, "mark"))
    return see(f"{_address(_posted(form))}#a{answer_id}")


@router.post("/door/answers/dataset")
def make_dataset(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Makes a dataset of the answers that fit, and goes to it."""
    chosen = _posted(form)
    try:
        made = dataset_of_answers(session, actor, chosen, text(form, "name"), bool(text(form, "rejected")))
    except TunebookError as error:
        if error.status != 409:
            raise
        session.rollback()
        return _page(request, session, actor, chosen, None, error)
    return see(f"/datasets/{made.id}")


def _page(
    request: Request,
    session: Session,
    actor: Actor,
    chosen: AnswerFilter,
    before: int | None,
    error: TunebookError | None = None,
) -> HTMLResponse:
    found = list_answers(session, actor, chosen, before)
    project = session.get(Project, actor.project_id)
    return page(
        request,
        "door/answers.html",
        "Recorded answers",
        status=error.status if error else 200,
        error=error,
        found=found,
        chosen=chosen,
        asked=asdict(chosen),
        models=recorded_models(session, actor),
        shown=[(name, WORDS.get(name, name)) for name in SHOWN],
        records=bool(project and project.records_answers),
        older=_address(chosen, found.before) if found.before else "",
        newer=_address(chosen) if before is not None else "",
    )


def _posted(form: Posted) -> AnswerFilter:
    return AnswerFilter(*(text(form, f"of_{name}") for name in ("model", "show", "search", "label")))


def _address(chosen: AnswerFilter, before: int | None = None) -> str:
    asked = {name: str(value) for name, value in {**asdict(chosen), "before": before}.items() if value}
    return f"/door/answers?{urlencode(asked)}" if asked else "/door/answers"
