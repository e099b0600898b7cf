"""Recorded answers: what passed the door in a project that keeps it. Filter, correct, mark. Used by recorded_routes.py,
recorded_api.py and recorded_dataset.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, cast, func, or_
from sqlmodel import Session, col, select

from app.db import clean
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, owned, require_member
from app.tables import DoorCall

PAGE = 30
MARKS = ("good", "bad")
SHOWN = ("", *MARKS, "corrected", "unmarked")
MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class AnswerFilter:
    """Which answers; "" is all. `show` is one of SHOWN, `label` is key=value of the caller's metadata, `search` a text in
    the question or the answer."""

    model: str = ""
    show: str = ""
    search: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        if self.show not in SHOWN:
            raise Invalid(
                f"Answers cannot be shown by {self.show[:40]!r}.",
                f"Choose one of {', '.join(SHOWN[1:])}.",
                {"show": "not one of the choices"},
            )
        if self.label and not all(part.strip() for part in self.label.partition("=")):
            raise Invalid(
                f"{self.label[:60]!r} names no metadata.", "Write key=value.", {"label": "Write key=value."}
            )

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return any(asdict(self).values())


@dataclass(frozen=True)
class AnswerLine:
    """One recorded answer. `asked` are the messages of the question; `answer` is the text as it counts now, `said` what
    the model said where a person corrected it."""

    id: int
    public_id: str
    at: datetime
    asked_model: str
    model: str
    run_id: int | None
    asked: Sequence[Mapping[str, Any]]
    answer: str
    said: str
    tool_calls: str
    mark: str
    labels: Mapping[str, str]

    @property
    def question(self) -> str:
        """The last thing that the caller said."""
        return next((str(row["content"]) for row in reversed(self.asked) if row["role"] == "user"), "")


@dataclass(frozen=True)
class AnswerList:
    """A page of answers, newest first; `before` is where the next page begins, None on the last. `total` are those that
    fit the filter."""

    lines: list[AnswerLine]
    total: int
    before: int | None


def list_answers(
    session: Session, actor: Actor, chosen: AnswerFilter, before: int | None = None
) -> AnswerList:
    """The project's recorded answers."""
    where = conditions(chosen)
    total = session.exec(
        select(func.count()).select_from(DoorCall).where(DoorCall.project_id == actor.project_id, *where)
    ).one()
    query = owned(actor, DoorCall).where(*where).order_by(col(DoorCall.id).desc()).limit(PAGE + 1)
    if before is not None:
        query = query.where(col(DoorCall.id) < before)
    rows = list(session.exec(query))
    more = rows[PAGE - 1].id if len(rows) > PAGE else None
    return AnswerList([line_of(row) for row in rows[:PAGE]], total, more)


def recorded_models(session: Session, actor: Actor) -> list[str]:
    """The models whose answers are kept, by name."""
    query = select(DoorCall.model).where(DoorCall.project_id == actor.project_id, *conditions(AnswerFilter()))
    return sorted(session.exec(query.distinct()))


def conditions(chosen: AnswerFilter) -> list[ColumnElement[bool]]:
    """What a call must be to fit: recorded, answered, and as the filter says."""
    # A column without JSON holds NULL or the JSON word, by how it was written.
    kept = [func.coalesce(cast(column, String), "null") for column in (DoorCall.request, DoorCall.response)]
    found: list[ColumnElement[bool]] = [col(DoorCall.status) == 200, *(text != "null" for text in kept)]
    if chosen.model:
        found.append(col(DoorCall.model) == chosen.model)
    if chosen.show in MARKS:
        found.append(col(DoorCall.mark) == chosen.show)
    if chosen.show == "unmarked":
        found += [col(DoorCall.mark) == "", col(DoorCall.corrected_by).is_(None)]
    if chosen.show == "corrected":
        found.append(col(DoorCall.corrected_by).is_not(None))
    if chosen.label:
        key, _, value = chosen.label.partition("=")
        found.append(DoorCall.labels[key.strip()].as_string() == value.strip())  # type: ignore[attr-defined]
    if chosen.search:
        columns = (DoorCall.request, DoorCall.response, DoorCall.corrected)
        # The column holds JSON, in which other letters than ASCII are written by their numbers.
        written = json.dumps(chosen.search)[1:-1]
        found.append(or_(*(cast(column, String).icontains(written, autoescape=True) for column in columns)))
    return found


def line_of(row: DoorCall) -> AnswerLine:
    """A call as pages show it."""
    said = dict(row.response or {})
    counts = dict(row.corrected or said)
    calls = [one.get("function") for one in said.get("tool_calls") or []]
    return AnswerLine(
        row.id or 0,
        row.public_id,
        row.created_at,
        row.asked_model,
        row.model,
        row.run_id,
        plain_messages((row.request or {}).get("messages") or []),
        str(counts.get("content") or ""),
        str(said.get("content") or "") if row.corrected else "",
        json.dumps(calls, ensure_ascii=False) if calls else "",
        row.mark,
        row.labels,
    )


def plain_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with their content as text, whatever parts it was sent in."""
    made = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
        made.append({**message, "content": content or ""})
    return made


def correct_answer(session: Session, actor: Actor, call_id: int, text: str) -> DoorCall:
    """Puts a person's answer in place of the model's, which is kept beside it; the model's own words take the correction
    back. Raises Conflict for an answer that called tools, Invalid for an empty one."""
    require_member(actor, "correct answers")
    row = find_answer(session, actor, call_id)
    said = dict(row.response or {})
    if said.get("tool_calls"):
        raise Conflict("This answer called tools and cannot be corrected as text.", "Mark it good or bad.")
    text = (clean(text) or "").replace("\r\n", "\n").strip()
    if not text:
        raise Invalid("The answer is empty.", "Write what the model should have said.", {"answer": "empty"})
    if len(text) > MOST_CHARACTERS:
        raise Invalid(
            f"The answer is longer than {MOST_CHARACTERS:,} characters.",
            "Shorten it.",
            {"answer": "too long"},
        )
    same = text == str(said.get("content") or "").strip()
    row.corrected = None if same else {"role": "assistant", "content": text}
    row.corrected_by = None if same else actor.member_id
    session.flush()
    return row


def mark_answer(session: Session, actor: Actor, call_id: int, mark: str) -> DoorCall:
    """Says that an answer is "good" or "bad", or "" to say nothing of it."""
    require_member(actor, "mark answers")
    if mark not in ("", *MARKS):
        raise Invalid(f"An answer cannot be marked {mark[:40]!r}.", "Mark it good, bad or not at all.")
    row = find_answer(session, actor, call_id)
    row.mark = mark
    session.flush()
    return row


def find_answer(session: Session, actor: Actor, call_id: int) -> DoorCall:
    """A recorded answer of the project; raises NotFound."""
    query = owned(actor, DoorCall).where(DoorCall.id == call_id, *conditions(AnswerFilter()))
    row: DoorCall | None = session.exec(query).first()
    if row is None:
        raise NotFound(f"There is no recorded answer {call_id} here.", "Look for it in the list of answers.")
    return row
