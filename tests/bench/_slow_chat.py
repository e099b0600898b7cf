"""A chat endpoint with a fixed latency and a token bucket, in a process of its own: what predictions.py asks.

`python -m tests.bench._slow_chat LATENCY RATE BURST` prints its port; RATE 0: no limit. It tells its limits in the
x-ratelimit headers as OpenAI does.
"""

import asyncio
import json
import sys
import time

BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "bench",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "U", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41},
}


class Bucket:
    """`rate` calls a second on average, `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, burst, burst, time.monotonic()

    def take(self) -> tuple[bool, dict[str, str]]:
        """(granted, headers)."""
        if not self.rate:
            return True, {}
        now = time.monotonic()
        self.left, self.at = min(self.burst, self.left + (now - self.at) * self.rate), now
        granted = self.left >= 1
        self.left -= granted
        told = {
            "x-ratelimit-limit-requests": f"{self.burst:.0f}",
            "x-ratelimit-remaining-requests": str(int(self.left)),
            "x-ratelimit-reset-requests": f"{(self.burst - self.left) / self.rate * 1000:.0f}ms",
        }
        return granted, told if granted else {"retry-after": "1"}


async def serve(latency: float, rate: float, burst: float) -> None:
    """Until killed."""
    bucket = Bucket(rate, burst)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(
                line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line
            )
            await reader.readexactly(int(fields.get("content-length", 0)))
            granted, told = bucket.take()
            await asyncio.sleep(latency)
            body = json.dumps(BODY if granted else {"error": {"message": "Rate limit reached"}}).encode()
            lines = {"content-type": "application/json", "content-length": str(len(body)), **told}
            status = "200 OK" if granted else "429 Too Many Requests"
            written = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"HTTP/1.1 {status}\r\n{written}\r\n".encode() + body)
            await writer.drain()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*(float(each) for each in sys.argv[1:4])))
