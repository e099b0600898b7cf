"""Joins the routes of the OpenAI-compatible API. app/main.py mounts them at /v1."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from app.door import batch_api, files_api, models_api, tuning_api
from app.door.inference import close_connections
from app.door.record import RECORDER


@asynccontextmanager
async def _open(_app: Any) -> AsyncIterator[None]:
    """At the end of the web's process every call is recorded."""
    yield
    close_connections()
    await run_in_threadpool(RECORDER.flush)


router = APIRouter(lifespan=_open)
router.include_router(models_api.router)
router.include_router(files_api.router)
router.include_router(tuning_api.router)
router.include_router(batch_api.router)
