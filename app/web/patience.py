"""Ends requests whose body comes too slowly: one ASGI layer, put around everything by app/main.py."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# So long a body may take at most, and longer by a second for each KiB that has come: nobody's line is slower.
FREE_SECONDS, BYTES_A_SECOND = 60.0, 1024


class Patience:
    """A body that is too slow ends as if its sender had gone: what was received is dropped, the connection closed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        loop = asyncio.get_running_loop()
        began, got, coming, cut = loop.time(), 0, True, False

        async def in_time() -> Message:
            nonlocal got, coming, cut
            if cut:
                return {"type": "http.disconnect"}
            if not coming:
                return await receive()
            left = began + FREE_SECONDS + got / BYTES_A_SECOND - loop.time()
            try:
                message = await asyncio.wait_for(receive(), left)
            except TimeoutError:
                cut = True
                return {"type": "http.disconnect"}
            got += len(message.get("body", b""))
            coming = bool(message.get("more_body", False))
            return message

        async def closing(message: Message) -> None:
            if cut and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        return await self.app(scope, in_time, closing)
