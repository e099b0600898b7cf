"""A span around each request, where traces are asked for. Between the layer that gives the request its id and the
routes."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.log import about
from app.traces import is_traced, span


class Traced:
    """Names the span after the route, not after the address: that could hold a secret."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_traced():
            return await self.app(scope, receive, send)
        came = {name: value for name, value in Headers(scope=scope).items() if name.startswith("trace")}
        known = {
            "http.request.method": scope["method"],
            "url.scheme": scope["scheme"],
            "tunebook.request": str(about.get().get("request", "")),
        }
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with span(scope["method"], "server", known, came) as tell:
            try:
                await self.app(scope, receive, noted)
            finally:
                route = str(getattr(scope.get("route"), "path", "none"))
                tell(f"{scope['method']} {route}", {"http.route": route, "http.response.status_code": status})
