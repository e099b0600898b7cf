"""The Try page: one question, several models side by side, each answer as it comes; a question keeps its address."""

import random
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from app.door.questions import (
    QuestionForm,
    QuestionView,
    as_two_texts,
    ask_question,
    last_text,
    question_view,
    random_test_item,
    try_view,
)
from app.door.threads import DATABASE, in_thread
from app.door.try_answer import Claimed, ask, claim
from app.errors import Invalid
from app.lab.actor import Actor
from app.web.forms import Posted, text, texts, whole
from app.web.own_address import own_address
from app.web.pages import fragment, page, see
from app.web.session import Acting, Database

router = APIRouter()
Models = Annotated[Sequence[str], Query()]
LINES = "application/x-ndjson"


@router.get("/door/try")
def try_page(
    request: Request,
    session: Database,
    actor: Acting,
    models: Models = (),
    dataset: int = 0,
    item: int | None = None,
    again: str = "",
) -> HTMLResponse:
    """The form, with these models ticked and an item's text in it; `again` takes both from an earlier question."""
    form = QuestionForm(tuple(models)[:50], item=(dataset, item) if dataset and item is not None else None)
    if again:
        form = _form_of(question_view(session, actor, again))
    return page(request, "door/try.html", "Try it", view=try_view(session, actor, form), wrong={})


def _form_of(view: QuestionView) -> QuestionForm:
    """An earlier question as a form."""
    system, asked = as_two_texts(view.messages) or ("", last_text(view.messages))
    item = (view.dataset[0], view.item_number) if view.dataset and view.item_number is not None else None
    return QuestionForm(tuple(each["model"] for each in view.answers), system, asked, view.temperature, item)


@router.get("/door/try/random")
def random_item(session: Database, actor: Acting, dataset: int, models: Models = ()) -> Response:
    """Goes to the form with some test item of a dataset."""
    number = random_test_item(session, actor, dataset, random.choice)
    asked = [("dataset", dataset), ("item", number), *(("models", name) for name in models)]
    return see(f"/door/try?{urlencode(asked)}")


@router.post("/door/try")
def post_question(request: Request, session: Database, actor: Acting, form: Posted) -> Response:
    """Keeps the question and goes to its page, which asks."""
    asked = _read(form)
    try:
        row = ask_question(session, actor, asked)
    except Invalid as error:
        session.rollback()
        view = try_view(session, actor, asked)
        return page(request, "door/try.html", "Try it", status=422, view=view, wrong=error.fields)
    return see(f"/door/try/{row.public_id}")


def _read(form: Posted) -> QuestionForm:
    try:
        temperature = float(text(form, "temperature") or 0)
    except ValueError:
        temperature = -1
    dataset, number = whole(form, "dataset"), text(form, "item")
    names = [*texts(form, "models"), *text(form, "other").split()]
    return QuestionForm(
        tuple(dict.fromkeys(names)),
        text(form, "system"),
        text(form, "text"),
        temperature,
        (dataset, int(number)) if dataset and number.isdecimal() and len(number) < 12 else None,
    )


@router.get("/door/try/{public_id}")
def question_page(request: Request, public_id: str, session: Database, actor: Acting) -> HTMLResponse:
    """A question with its answers; those that are missing are asked for by the page."""
    view = question_view(session, actor, public_id)
    link = f"{own_address(request)}/door/try/{public_id}"
    return page(request, "door/question.html", "Question", view=view, link=link)


@router.get("/door/try/{public_id}/answers/{place}")
def answer_fragment(public_id: str, place: int, session: Database, actor: Acting) -> HTMLResponse:
    """One answer's card."""
    return fragment("door/_answer.html", view=question_view(session, actor, public_id), place=place)


@router.post("/door/try/{public_id}/answers/{place}")
async def ask_model(request: Request, public_id: str, place: int, actor: Acting) -> Response:
    """Asks one model. To a script that reads lines: {"text": piece} as they come; else the page again at the end."""
    claimed = await in_thread(DATABASE, claim, actor, public_id, place)
    if LINES in request.headers.get("accept", ""):
        return StreamingResponse(
            _lines(actor, claimed), media_type=LINES, headers={"cache-control": "no-store"}
        )
    async for _ in ask(actor, claimed):
        pass
    return see(f"/door/try/{public_id}")


async def _lines(actor: Actor, claimed: Claimed) -> AsyncGenerator[bytes, None]:
    async for piece in ask(actor, claimed):
        yield msgspec.json.encode({"text": piece}) + b"\n"
