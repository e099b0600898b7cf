"""Lets an endpoint with a JSON body take the same as YAML: `APIRouter(route_class=YamlBody)`."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from app.errors import TooLarge
from app.yaml_text import read_yaml

TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
MOST_BYTES = 256 * 1024


class YamlBody(APIRoute):
    """A route whose body may be YAML, said by the content type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind a look at the content type."""
        handle = super().get_route_handler()

        async def handle_yaml(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in TYPES:
                return await handle(request)
            held = bytearray()
            async for piece in request.stream():
                held += piece
                if len(held) > MOST_BYTES:
                    raise TooLarge("The YAML is longer than 256 KiB.", "Send the data itself as an upload.")
            data = await run_in_threadpool(read_yaml, bytes(held))
            return await handle(_as_json(request, json.dumps(data, default=str).encode()))

        return handle_yaml


def _as_json(request: Request, body: bytes) -> Request:
    others = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in (b"content-type", b"content-length")
    ]
    scope = {**request.scope, "headers": [*others, (b"content-type", b"application/json")]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)
