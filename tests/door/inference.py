"""A server on the inference socket that speaks its contract and answers at once: a word for each word of the question."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.config import settings


class Inference:
    """What was asked, and what to say instead. `pause` seconds lie between two words; `ended`: answers broken off."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: tuple[int, dict[str, Any]] | None = None
        self.says: list[str] = []
        self.p: dict[str, float] | None = None
        self.pause = 0.0
        self.cut_after: int | None = None
        self.ended = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def _serve(self, ready: threading.Event) -> None:
        path = settings().inference_socket
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, path)
        ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                question = json.loads(await reader.readexactly(length))
                self.asked.append(question)
                await self._answer(writer, question)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, question: dict[str, Any]) -> None:
        if self.error:
            status, said = self.error
            body = json.dumps({"error": said}).encode()
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            return
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        words = self.says or question["messages"][-1]["content"].split()
        try:
            for at, word in enumerate(words):
                if at == self.cut_after:
                    writer.close()
                    return
                text = word if not at else f" {word}"
                top = [[text, -0.1], ["other", -2.5]][: question["top_logprobs"]]
                self._line(writer, {"text": text, "tokens": [{"token": text, "logprob": -0.1, "top": top}]})
                await writer.drain()
                await asyncio.sleep(self.pause)
                if writer.is_closing():
                    raise ConnectionError
            told = {"finish": "stop", "prompt_tokens": 7, "completion_tokens": len(words), "p": self.p}
            self._line(writer, told)
            writer.write(b"0\r\n\r\n")
        except ConnectionError:
            self.ended += 1
            raise

    def _line(self, writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
        piece = json.dumps(line).encode() + b"\n"
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


@contextmanager
def running() -> Iterator[Inference]:
    """The server, for as long as the block lasts."""
    made, ready = Inference(), threading.Event()
    thread = threading.Thread(target=lambda: made._loop.run_until_complete(made._serve(ready)))
    thread.start()
    assert ready.wait(5)
    try:
        yield made
    finally:
        made._loop.call_soon_threadsafe(made._stop.set)
        thread.join(5)
        made._loop.close()
