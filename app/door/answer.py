"""Asks a model: the one way for the chat route, batches and the Try page. Rights, budget, the call, its cost, its record.

No database transaction is open while anything is asked.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from app.clock import now
from app.db import clean
from app.door.chat_body import FIELDS, ChatBody
from app.door.entry import Entry, enter_as
from app.door.error_shape import status_of
from app.door.hosted import ask_hosted, check_hosted
from app.door.ids import new_id
from app.door.local import ask_local, check_local
from app.door.money import Reserved, reserve, settle
from app.door.record import RECORDER
from app.door.shapes import ChatAnswer, Delta, Gathered, Usage
from app.door.threads import DATABASE, in_thread, soon
from app.errors import Busy, Forbidden, KeyRefused, OutOfCredit, Refused, TunebookError
from app.lab.actor import Actor
from app.log import hidden

# Clear answers of a service that nothing was done, and so nothing was paid.
FREE = (Refused, KeyRefused, OutOfCredit, Busy)
# The caller went away before the answer had ended.
GONE = 499


@dataclass
class Call:
    """One call under way: who asks what, and what has come so far."""

    entry: Entry
    body: ChatBody
    batch_id: int | None = None
    id: str = field(default_factory=lambda: new_id("chatcmpl-"))
    at: datetime = field(default_factory=now)
    started: float = field(default_factory=time.perf_counter)
    usage: Usage = field(default_factory=Usage)
    choices: list[Gathered] = field(default_factory=list)
    reserved: Reserved | None = None

    @property
    def created(self) -> int:
        """When it was made, in seconds since 1970."""
        return int(self.at.timestamp())

    @property
    def model(self) -> str:
        """What answers."""
        return self.entry.target.model

    def row(self) -> dict[str, Any]:
        """The columns of its record that are known from the start."""
        actor, target = self.entry.actor, self.entry.target
        return {
            "project_id": actor.project_id,
            "maker_id": actor.member_id,
            "created_at": self.at,
            "public_id": self.id,
            "token_id": actor.token_id or None,
            "batch_id": self.batch_id,
            "asked_model": target.asked,
            "model": target.model,
            "run_id": target.run_id,
            "provider": target.provider,
            "labels": self.body.metadata or {},
            "request": asked(self.body) if self.entry.records else None,
        }

    def ended(self, status: int, error: str = "") -> dict[str, Any]:
        """The columns that are known at its end."""
        first = self.choices[0] if self.choices else Gathered()
        response = None
        if self.entry.records and status == 200:
            response = first.json(0, False)["message"]
            if len(self.choices) > 1:
                response["alternatives"] = [each.json(0, False)["message"] for each in self.choices[1:]]
        return {
            "status": status,
            "finish": first.finish if status == 200 else "",
            "error": (clean(hidden(error)) or "")[:2000],
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "latency_ms": round((time.perf_counter() - self.started) * 1000, 3),
            "response": response,
        }

    def cost(self, error: TunebookError | None) -> int:
        """Micro-dollars that it has cost, as far as anybody can know: by the tokens told, else by what was sent and came."""
        service, reserved = self.entry.target.service, self.reserved
        if service is None or reserved is None or isinstance(error, FREE):
            return 0
        read, written = self.usage.input_tokens, self.usage.output_tokens
        if read is not None and written is not None:
            return service.cost(read, written) or 0
        if error is not None:
            return reserved.microdollars
        came = sum(len(text.encode()) for each in self.choices for text in each.texts)
        return min(service.cost(reserved.input_bytes // 2, came // 2 + 1) or 0, reserved.microdollars)


async def answer(
    actor: Actor, body: ChatBody, *, batch_id: int | None = None, entry: Entry | None = None
) -> ChatAnswer:
    """One whole answer. Raises a TunebookError: ModelNotFound, Forbidden, OverBudget, Invalid with the parameter's name,
    Unavailable or the service's own."""
    call = await begin(actor, body, batch_id=batch_id, entry=entry)
    async with aclosing(pieces(call)) as found:
        async for _ in found:
            pass
    return ChatAnswer(
        call.id,
        call.created,
        call.model,
        [each.json(at, body.logprobs) for at, each in enumerate(call.choices)],
        call.usage,
        [each.p for each in call.choices],
        (time.perf_counter() - call.started) * 1000,
    )


async def begin(
    actor: Actor, body: ChatBody, *, batch_id: int | None = None, entry: Entry | None = None
) -> Call:
    """A call that is checked and, where it costs money, reserved: then pieces() asks. Raises as answer() does."""
    if entry is None:
        entry = await in_thread(DATABASE, enter_as, actor, body.model)
    call = Call(entry, body, batch_id, choices=[Gathered() for _ in range(body.n)])
    target = entry.target
    if target.is_free:
        check_local(target, body)
        if not entry.actor.project_id:
            raise Forbidden("You are in no project.", "Ask an admin to add you to one.")
    else:
        check_hosted(target, body)
        call.reserved = await in_thread(DATABASE, reserve, entry.actor, target, body, call.row())
    return call


async def pieces(call: Call) -> AsyncGenerator[Delta, None]:
    """The answer as it comes. However it ends, the call is settled and recorded; closing the iterator ends it."""
    source = ask_local if call.entry.target.is_free else ask_hosted
    try:
        async with aclosing(source(call.entry.target, call.body, call.usage)) as found:
            async for piece in found:
                if 0 <= piece.index < len(call.choices):
                    call.choices[piece.index].add(piece)
                    yield piece
    except TunebookError as error:
        await _end(call, error)
        raise
    except BaseException:
        # Nothing can be waited for here: the caller is gone.
        _end_soon(call)
        raise
    await _end(call, None)


async def _end(call: Call, error: TunebookError | None) -> None:
    ended = call.ended(status_of(error) if error else 200, error.message if error else "")
    if call.reserved is None:
        RECORDER.add({**call.row(), **ended})
    else:
        await in_thread(DATABASE, settle_call, call, call.cost(error), ended)


def _end_soon(call: Call) -> None:
    ended = call.ended(GONE, "The caller went away before the answer had ended.")
    if call.reserved is None:
        RECORDER.add({**call.row(), **ended})
    else:
        soon(settle_call, call, call.cost(None), ended)


def settle_call(call: Call, cost: int, ended: dict[str, Any]) -> None:
    """Settles a paid call."""
    assert call.reserved is not None
    settle(call.reserved.call_id, cost, **ended)


def asked(body: ChatBody) -> dict[str, Any]:
    """What a record keeps of a question: its messages and every parameter that was given."""
    left_out = ("passed_on", "metadata", "stream", "stream_options")
    given = {name: getattr(body, name) for name in FIELDS if name not in left_out}
    usual = {field.name: field.default for field in msgspec.structs.fields(ChatBody)}
    return {**{name: value for name, value in given.items() if value != usual[name]}, **body.passed_on}
