"""Recorded answers as JSON: list, correct, mark, make a dataset; below /api/v1."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.door.recorded import AnswerFilter, AnswerLine, correct_answer, line_of, list_answers, mark_answer
from app.door.recorded_dataset import dataset_of_answers
from app.web.session import Acting, Database

router = APIRouter()


def chosen_answers(model: str = "", show: str = "", search: str = "", label: str = "") -> AnswerFilter:
    """The filter of an address: model, show (good, bad, corrected, unmarked), a text, key=value of metadata."""
    return AnswerFilter(model, show, search.strip(), label.strip())


Chosen = Annotated[AnswerFilter, Depends(chosen_answers)]


class AnswerChange(BaseModel):
    """What a person says of an answer; what is left out stays."""

    answer: str | None = Field(None, max_length=200_000)
    mark: Literal["", "good", "bad"] | None = None


class DatasetAsked(BaseModel):
    """Which answers become a dataset."""

    name: str = Field("", max_length=200)
    model: str = ""
    show: str = ""
    search: str = ""
    label: str = ""
    # Whether what the model said stands beside a correction as the answer that is not wanted.
    rejected: bool = False


def answer_json(line: AnswerLine) -> dict[str, Any]:
    """One answer."""
    return {
        "id": line.id,
        "call": line.public_id,
        "at": line.at.isoformat(),
        "asked_model": line.asked_model,
        "model": line.model,
        "run_id": line.run_id,
        "messages": list(line.asked),
        "answer": line.answer,
        "said": line.said or line.answer,
        "corrected": bool(line.said),
        "mark": line.mark,
        "metadata": dict(line.labels),
    }


@router.get("/answers")
def get_answers(
    session: Database, actor: Acting, chosen: Chosen, before: int | None = None
) -> dict[str, Any]:
    """Recorded answers, newest first, 30 at a time; `next` is the `before` to go on with."""
    found = list_answers(session, actor, chosen, before)
    return {
        "answers": [answer_json(line) for line in found.lines],
        "total": found.total,
        "next": found.before,
    }


@router.patch("/answers/{answer_id}")
def patch_answer(answer_id: int, body: AnswerChange, session: Database, actor: Acting) -> dict[str, Any]:
    """Corrects an answer (the model's own words take the correction back) or marks it."""
    row = None
    if body.mark is not None:
        row = mark_answer(session, actor, answer_id, body.mark)
    if body.answer is not None or row is None:
        row = correct_answer(session, actor, answer_id, body.answer or "")
    return answer_json(line_of(row))


@router.post("/answers/dataset", status_code=201)
def post_dataset(body: DatasetAsked, session: Database, actor: Acting) -> dict[str, Any]:
    """Makes a dataset of the answers that fit; it is checked like an upload."""
    chosen = AnswerFilter(body.model, body.show, body.search.strip(), body.label.strip())
    made = dataset_of_answers(session, actor, chosen, body.name, body.rejected)
    return {"id": made.id, "name": made.name, "state": made.state}
