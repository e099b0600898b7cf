"""The web application: create_app() joins the features' routes, the security layer and the error pages."""

from functools import lru_cache
from importlib import import_module

from fastapi import Depends, FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from app import traces
from app.assets import STATIC
from app.door import pages_api
from app.door.api import router as door
from app.door.chat_api import chat_completions
from app.log import set_up_logging
from app.web import api_docs, health, sign_in, telemetry, university
from app.web.audit import Audit
from app.web.errors import add_error_handlers
from app.web.outages import add_outage_handlers
from app.web.patience import Patience
from app.web.security import Security
from app.web.session import gate
from app.web.telemetry import Telemetry
from app.web.traced import Traced
from app.web.watching import Watching

# The features in the order of the house: what has pages, and what has JSON.
PAGES = (
    "home",
    "lab",
    "settings",
    "datasets",
    "catalog",
    "runs",
    "evaluations",
    "experiments",
    "comparisons",
    "exports",
    "door",
)
API = (
    "lab",
    "settings",
    "datasets",
    "catalog",
    "runs",
    "evaluations",
    "experiments",
    "comparisons",
    "exports",
)


class Application(FastAPI):
    """FastAPI with the security layer outside of everything, also of what answers an unexpected error."""

    def build_middleware_stack(self) -> ASGIApp:
        """The layers around the routes, outermost first."""
        return Patience(Security(Telemetry(Traced(Audit(Watching(super().build_middleware_stack()))))))


@lru_cache
def application() -> FastAPI:
    """The application of this process, made once."""
    return create_app()


def create_app() -> FastAPI:
    """The whole application. Every route is closed by the root dependency unless listed as open."""
    set_up_logging()
    traces.begin()
    app = Application(
        title="Tunebook",
        version="1",
        description="The lab notebook for fine-tuned language models.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(gate)],
    )
    # First, since it is asked the most; it checks its token by itself.
    app.add_route("/v1/chat/completions", chat_completions, methods=["POST"])
    app.include_router(sign_in.router, include_in_schema=False)
    app.include_router(health.router, include_in_schema=False)
    app.include_router(university.router, include_in_schema=False)
    app.include_router(api_docs.router, include_in_schema=False)
    app.include_router(telemetry.router, include_in_schema=False)
    for noun in PAGES:
        app.include_router(import_module(f"app.{noun}.routes").router, include_in_schema=False)
    for noun in API:
        app.include_router(import_module(f"app.{noun}.api").router, prefix="/api/v1", tags=[noun])
    app.include_router(pages_api.router, prefix="/api/v1", tags=["door"])
    app.include_router(door, prefix="/v1", include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_error_handlers(app)
    add_outage_handlers(app)
    return app
