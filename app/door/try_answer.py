"""One model's answer to a question of the Try page: claimed, asked as any script would at the door, and kept. Called by
try_routes.py.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.clock import now
from app.db import clean, session_scope
from app.door.answer import Call, begin, pieces
from app.door.chat_body import make_body
from app.door.entry import Entry, enter_as
from app.door.shapes import Gathered
from app.door.threads import DATABASE, in_thread, soon
from app.errors import Conflict, NotFound, TunebookError
from app.lab.actor import Actor, owned, require_member
from app.runs.label_probabilities import label_probabilities
from app.tables import AskedQuestion, Dataset

LONGEST_ANSWER = 100_000
# An answer that was begun so long ago has lost whoever asked for it.
BEGUN_SECONDS = 300
MOST_PROBABILITIES = 20


@dataclass(frozen=True)
class Claimed:
    """What is to be asked now, and by nobody else. `labels` are the classes of the item's dataset, or none."""

    public_id: str
    place: int
    model: str
    messages: list[dict[str, Any]]
    temperature: float
    labels: list[str]


def claim(actor: Actor, public_id: str, place: int) -> Claimed:
    """Takes an answer that nobody has asked for. Raises Conflict for one that is there or under way, NotFound."""
    require_member(actor, "ask models")
    with session_scope() as session:
        row = _row(session, actor, public_id, place)
        answer = row.answers[place]
        if "text" in answer or "error" in answer:
            raise Conflict("This answer is there already.", "Ask the question again for a new one.")
        begun = answer.get("begun")
        if begun and now() - datetime.fromisoformat(begun) < timedelta(seconds=BEGUN_SECONDS):
            raise Conflict("This answer is being asked for already.", "Wait for its end.")
        _put(row, place, {**answer, "begun": now().isoformat()})
        dataset = session.get(Dataset, row.dataset_id) if row.dataset_id else None
        return Claimed(
            public_id,
            place,
            str(answer["model"]),
            list(row.messages),
            float(row.decoding.get("temperature") or 0),
            list(dataset.labels) if dataset else [],
        )


def _row(session: Session, actor: Actor, public_id: str, place: int) -> AskedQuestion:
    """The row, held until this transaction ends: answers of several models come at once."""
    query = owned(actor, AskedQuestion).where(AskedQuestion.public_id == public_id).with_for_update()
    row: AskedQuestion | None = session.exec(query).first()
    if row is None or not 0 <= place < len(row.answers):
        raise NotFound("There is no such question here.", "Ask one on the Try page.")
    return row


def _put(row: AskedQuestion, place: int, answer: Mapping[str, Any]) -> None:
    row.answers = [dict(answer) if at == place else kept for at, kept in enumerate(row.answers)]


def keep(actor: Actor, claimed: Claimed, answer: Mapping[str, Any]) -> None:
    """Writes how it ended; a claim that another one has taken over is left alone."""
    with session_scope() as session:
        row = _row(session, actor, claimed.public_id, claimed.place)
        if "text" not in row.answers[claimed.place]:
            _put(row, claimed.place, {"model": claimed.model, **answer})


async def ask(actor: Actor, claimed: Claimed) -> AsyncGenerator[str, None]:
    """The answer's text as it comes. However it ends, the end is kept; closing the iterator ends the call."""
    call: Call | None = None
    try:
        entry = await in_thread(DATABASE, enter_as, actor, claimed.model)
        call = await begin(actor, _body(claimed, entry), entry=entry)
        async with aclosing(pieces(call)) as found:
            async for piece in found:
                if text := str(piece.delta.get("content") or piece.delta.get("refusal") or ""):
                    yield text
    except TunebookError as error:
        said = {"error": clean(error.message) or "", "hint": clean(error.hint) or ""}
        await in_thread(DATABASE, keep, actor, claimed, said)
        return
    except BaseException:
        # The browser is gone: nothing can be waited for here, and what has come is no answer.
        soon(keep, actor, claimed, {})
        raise
    await in_thread(DATABASE, keep, actor, claimed, _answer(call, claimed))


def _body(claimed: Claimed, entry: Entry) -> Any:
    given: dict[str, Any] = {
        "model": claimed.model,
        "messages": claimed.messages,
        "temperature": claimed.temperature,
    }
    service = entry.target.service
    chat = service.provider.chat if service else None
    if claimed.labels and chat and chat.top_logprobs:
        given |= {"logprobs": True, "top_logprobs": min(chat.top_logprobs, MOST_PROBABILITIES)}
    return make_body(given)


def _answer(call: Call, claimed: Claimed) -> dict[str, Any]:
    """What is kept of an answer: its text, class probabilities (the likeliest first), tokens and milliseconds."""
    choice = call.choices[0]
    message = choice.json(0, False)["message"]
    tools = [each.get("function") for each in message.get("tool_calls") or []]
    said = str(message.get("content") or message.get("refusal") or "")
    p = sorted((_probabilities(choice, claimed, said) or {}).items(), key=lambda pair: -pair[1])
    row = call.ended(200)
    return {
        "text": (clean(said) or "")[:LONGEST_ANSWER],
        "tools": tools,
        "p": p[:MOST_PROBABILITIES],
        "served": call.model,
        "provider": call.entry.target.provider,
        "finish": row["finish"],
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "latency_ms": row["latency_ms"],
    }


def _probabilities(choice: Gathered, claimed: Claimed, said: str) -> Mapping[str, float] | None:
    if choice.p is not None or not claimed.labels:
        return choice.p
    tops = [[(top["token"], top["logprob"]) for top in each["top_logprobs"]] for each in choice.tokens]
    return label_probabilities(claimed.labels, said, tops or None)
