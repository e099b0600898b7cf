"""Calls to the inference process over its Unix socket: HTTP/1.1, connections kept, an answer line by line.

A client of its own, because the door may add little time to an answer. Called by local.py.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from app.config import settings
from app.errors import Invalid, ModelNotFound, TunebookError, Unavailable

# A process that ended comes back within seconds: so long a call waits for its socket.
START_SECONDS = 8.0
LOOK_SECONDS = 0.1
# A question during which the process ends so often may be what ends it.
MOST_TRIES = 3
# Between two pieces of an answer; a model that must be loaded first takes long.
SILENCE_SECONDS = 300.0
LONGEST_LINE = 64 * 1024 * 1024
MOST_KEPT = 128

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Connections at rest, of each event loop by the socket's path.
_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, list[Connection]]] = WeakKeyDictionary()


async def ask_inference(question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """The lines of one answer. Raises what the process says is wrong, Unavailable where it is not there or ends; closing
    the iterator ends the generation."""
    path = _socket(settings().data)
    body = msgspec.json.encode(question)
    connection, head = await _sent(path, body)
    whole = False
    try:
        async for line in _lines(connection[0], head):
            if "error" in line:
                raise error_of(line["error"])
            yield line
        whole = True
    except TimeoutError as error:
        raise _gone(f"said nothing for {SILENCE_SECONDS:.0f} seconds") from error
    except (OSError, asyncio.IncompleteReadError, ValueError, msgspec.DecodeError) as error:
        raise _gone("ended while it answered") from error
    finally:
        if whole and head.get("connection") != "close":
            _keep(path, connection)
        else:
            connection[1].close()


@lru_cache
def _socket(_data: Path) -> str:
    """The socket's path of a data folder: working it out takes longer than asking for it again may."""
    return str(settings().inference_socket)


async def _sent(path: str, body: bytes) -> tuple[Connection, dict[str, str]]:
    """The question on its way, and the head of its answer. A connection at rest may be dead, and the process may end at
    any time: then a fresh one is tried, since asking twice changes nothing."""
    deadline, left = time.monotonic() + START_SECONDS, MOST_TRIES
    while True:
        connection, fresh = await _connect(path, deadline)
        try:
            return connection, await _begun(connection, body)
        except TimeoutError as error:
            connection[1].close()
            raise _gone(f"said nothing for {SILENCE_SECONDS:.0f} seconds") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            connection[1].close()
            left -= fresh
            if not left:
                raise _gone("ended before it answered") from error
        except BaseException:
            connection[1].close()
            raise


async def _connect(path: str, deadline: float) -> tuple[Connection, bool]:
    kept = _kept.setdefault(asyncio.get_running_loop(), {}).setdefault(path, [])
    while kept:
        reader, writer = kept.pop()
        if not reader.at_eof() and not writer.is_closing():
            return (reader, writer), False
        writer.close()
    while True:
        try:
            return await asyncio.open_unix_connection(path, limit=LONGEST_LINE), True
        except OSError as error:
            if time.monotonic() > deadline:
                raise _gone("is not running") from error
            await asyncio.sleep(LOOK_SECONDS)


def _keep(path: str, connection: Connection) -> None:
    kept = _kept.setdefault(asyncio.get_running_loop(), {}).setdefault(path, [])
    if len(kept) < MOST_KEPT and not connection[0].at_eof():
        kept.append(connection)
    else:
        connection[1].close()


async def _begun(connection: Connection, body: bytes) -> dict[str, str]:
    reader, writer = connection
    head = f"POST /chat HTTP/1.1\r\nhost: inference\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    async with asyncio.timeout(SILENCE_SECONDS):
        raw = await reader.readuntil(b"\r\n\r\n")
    status, *lines = raw.decode("latin-1").split("\r\n")
    headers = {"status": status.split(" ")[1]}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip().lower()
    return headers


async def _lines(
    reader: asyncio.StreamReader, head: Mapping[str, str]
) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON lines of a body, whether it comes in chunks or whole."""
    rest = b""
    async for piece in _pieces(reader, head):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield msgspec.json.decode(line)
    if rest.strip():
        yield msgspec.json.decode(rest)


async def _pieces(reader: asyncio.StreamReader, head: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
    if head.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(head.get("content-length", "0")))
        return
    while True:
        async with asyncio.timeout(SILENCE_SECONDS):
            size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
            piece = await reader.readexactly(size + 2)
        if not size:
            return
        yield piece[:-2]


def error_of(said: Mapping[str, Any]) -> TunebookError:
    """What the process says is wrong, as an error of ours."""
    kind, message, hint = str(said.get("kind")), str(said.get("message")), str(said.get("hint") or "")
    if kind == "bad_request":
        return Invalid(message, hint)
    if kind == "not_found":
        return ModelNotFound(message, hint)
    if kind == "too_long":
        error: TunebookError = Invalid(message, hint, {"messages": message})
        error.reason = "context_length_exceeded"
        return error
    error = Unavailable(message, hint)
    if not said.get("retryable"):
        error.reason = "model_broken"
    return error


def _gone(what: str) -> Unavailable:
    return Unavailable(
        f"The local inference process {what}.",
        "Ask again in a few seconds: it is started again by itself. `tunebook doctor` says whether it runs.",
    )


def close_connections() -> None:
    """Closes the connections at rest of the present event loop, at its end."""
    for kept in _kept.pop(asyncio.get_running_loop(), {}).values():
        for _reader, writer in kept:
            writer.close()
