"""Short chats a second at the server of local models: 64 at once against one at a time, same process, same model.

`python -m tests.bench inference`. The model is made here: starter/tiny's size with random weights, prompts of about
40 tokens, answers of 16. Both sides take turns; what counts is the best turn of each,
by the clock, and the processor time of the server alone, which other work on the machine changes little.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.bench import Figure, at_least
from tests.source import ROOT

AT_ONCE, TURNS, CHATS, TOKENS = 64, 4, 256, 16
LEAST = 5.0
WORDS = (
    "stone",
    "river",
    "copper",
    "lamp",
    "violet",
    "thunder",
    "paper",
    "salt",
    "iron",
    "gold",
    "zinc",
    "tin",
)
INSTRUCTION = "Say which of these words name a metal, and which of those could be found in a house."


def figures() -> Iterator[Figure]:
    """The rates and their ratio."""
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as name:
        folder = Path(name)
        bundle = make_bundle(folder / "run-1")
        alone, together = measure(folder, bundle)
    rate, cpu = (alone[0] / together[0]), (alone[1] / together[1])
    yield Figure("one chat at a time", 1 / alone[0], "chats/s", "", True)
    yield Figure(f"{AT_ONCE} chats at once", 1 / together[0], "chats/s", "", True)
    yield at_least("the rate at once against one at a time", rate, "times", LEAST)
    yield Figure("the same in processor time of the server", cpu, "times", "", True)


def make_bundle(folder: Path) -> Path:
    """A starter's bundle as its run leaves it, without the training."""
    from tests.training.bundles import bundle, job, values_of
    from workers.training.job import read_job
    from workers.training.starter import make_model
    from workers.training.starter_tokenizer import make_tokenizer, save_tokenizer

    wanted = job(
        "starter/tiny",
        values_of("starter/tiny", max_seq_len=256),
        task="text",
        labels=(),
        max_new_tokens=TOKENS,
    )
    bundle(folder, wanted)
    made = read_job(folder)
    # As a run makes it: from texts like those that are asked.
    tokenizer = make_tokenizer([{"messages": messages(number)} for number in range(CHATS)], 1000)
    ids = {token: tokenizer.token_to_id(token) for token in ("<|pad|>", "<|end|>")}
    make_model(made, tokenizer.get_vocab_size(), ids).save_pretrained(folder / "out" / "model")
    save_tokenizer(tokenizer, folder / "out" / "model", 256)
    return folder


def measure(folder: Path, bundle: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """((seconds by the clock, seconds of the processor) for one chat alone, the same among 64); the best turns."""
    socket = folder / "inference.sock"
    environment = {**os.environ, "INFERENCE_SOCKET": str(socket), "INFERENCE_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "workers.inference"], cwd=ROOT, env=environment)
    try:
        while not socket.exists():
            time.sleep(0.05)
        server = psutil.Process(process.pid)
        asyncio.run(chats(socket, bundle, 4, 64))
        found = {1: (float("inf"), float("inf")), AT_ONCE: (float("inf"), float("inf"))}
        for _ in range(TURNS):
            for at_once, count in ((1, CHATS // 8), (AT_ONCE, CHATS)):
                found[at_once] = best(found[at_once], turn(server, socket, bundle, at_once, count))
        return found[1], found[AT_ONCE]
    finally:
        process.terminate()
        process.wait(10)


def best(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), min(one[1], other[1])


def turn(server: psutil.Process, socket: Path, bundle: Path, at_once: int, count: int) -> tuple[float, float]:
    """Seconds by the clock and of the server's processor, for each chat."""
    before, begun = server.cpu_times(), time.perf_counter()
    asyncio.run(chats(socket, bundle, at_once, count))
    spent, after = time.perf_counter() - begun, server.cpu_times()
    return spent / count, (after.user + after.system - before.user - before.system) / count


async def chats(socket: Path, bundle: Path, at_once: int, count: int) -> None:
    """Asks so many chats, so many at once, each on a connection that stays open."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        for number in numbers:
            writer.write(request(bundle, number))
            await read_answer(reader)
        writer.close()

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))


def messages(number: int) -> list[dict[str, str]]:
    words = " ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 9))
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": f"{number} {words}"}]


def request(bundle: Path, number: int) -> bytes:
    asked: dict[str, Any] = {
        "model": {"id": "run-1", "kind": "starter", "bundle": str(bundle)},
        "messages": messages(number),
        "temperature": 1.0,
        "seed": number,
        "max_tokens": TOKENS,
    }
    body = json.dumps(asked).encode()
    head = f"POST /chat HTTP/1.1\r\nhost: inference\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> None:
    """Reads a chunked answer to its end; ends the benchmark where it is an error."""
    text = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert b" 200 " in text[:20], text
    assert b'"finish"' in text, text
