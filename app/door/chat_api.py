"""POST /v1/chat/completions. A plain Starlette route: the token, the target and the answer are all that stands between
the caller and the model.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, suppress

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.db import new_session
from app.door.answer import Call, answer, begin, pieces
from app.door.chat_body import ChatBody, read_body
from app.door.entry import acting, let_in
from app.door.error_shape import headers_of, shaped, status_of
from app.door.shapes import ChatAnswer, Delta, chunk_json
from app.door.threads import DATABASE, in_thread
from app.errors import Invalid, TooLarge, TunebookError
from app.web.session import credential

MOST_BYTES = 32 * 1024 * 1024
SSE = {"cache-control": "no-cache", "x-accel-buffering": "no"}
DONE = b"data: [DONE]\n\n"


async def chat_completions(request: Request) -> Response:
    """One answer, whole or as server-sent events; errors before the first byte have a status of their own."""
    # Its record says more than a line in the audit log would.
    request.state.audited = True
    try:
        secret, _kind = credential(request)
        body = await _read(secret, await _raw(request) if secret else b"")
        entry = await let_in(secret, body.model)
        if body.stream:
            return await _stream(await begin(entry.actor, body, entry=entry))
        if entry.target.is_free:
            return await _unless_gone(request, answer(entry.actor, body, entry=entry))
        found = await answer(entry.actor, body, entry=entry)
        return Response(msgspec.json.encode(found.json()), media_type="application/json")
    except TunebookError as error:
        return JSONResponse(shaped(error), status_of(error), headers_of(error))


async def _raw(request: Request) -> bytes:
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MOST_BYTES:
                raise TooLarge("The request is larger than 32 MiB.", "Send shorter messages.")
            pieces.append(piece)
    except ClientDisconnect as gone:
        raise Invalid("The request ended before it was whole.") from gone
    return b"".join(pieces)


async def _read(secret: str, raw: bytes) -> ChatBody:
    try:
        return read_body(raw)
    except Invalid:
        # A stranger is told that they are one, not how to write a request.
        await in_thread(DATABASE, _known, secret)
        raise


def _known(secret: str) -> None:
    with new_session(write=False) as session:
        acting(session, secret)


async def _unless_gone(request: Request, asked: Awaitable[ChatAnswer]) -> Response:
    """The answer, ended early where the caller hangs up."""
    work = asyncio.ensure_future(asked)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            return Response(status_code=499)
        found = await work
        return Response(msgspec.json.encode(found.json()), media_type="application/json")
    finally:
        gone.cancel()


async def _stream(call: Call) -> Response:
    source = pieces(call)
    # The first piece is waited for, so that what is refused has a status instead of an event.
    try:
        first = await anext(source, None)
    except BaseException:
        await source.aclose()
        raise
    return StreamingResponse(_events(call, source, first), media_type="text/event-stream", headers=SSE)


async def _events(
    call: Call, source: AsyncGenerator[Delta, None], first: Delta | None
) -> AsyncGenerator[bytes, None]:
    begun: set[int] = set()
    usage = {"usage": None} if call.body.includes_usage else {}
    async with aclosing(source):
        try:
            piece = first
            while piece is not None:
                if piece.index not in begun:
                    begun.add(piece.index)
                    role = Delta(piece.index, {"role": "assistant", "content": "", "refusal": None})
                    yield _event({**chunk_json(call.id, call.created, call.model, role, False), **usage})
                yield _event(
                    {**chunk_json(call.id, call.created, call.model, piece, call.body.logprobs), **usage}
                )
                piece = await anext(source, None)
        except TunebookError as error:
            yield _event(shaped(error))
            return
    if call.body.includes_usage:
        last = chunk_json(call.id, call.created, call.model, Delta(), False)
        yield _event({**last, "choices": [], "usage": call.usage.json()})
    yield DONE


def _event(found: object) -> bytes:
    return b"data: " + msgspec.json.encode(found) + b"\n\n"
