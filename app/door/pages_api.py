"""What the door's pages do, as JSON below /api/v1. (app/door/api.py is the OpenAI-compatible API at /v1.)"""

from fastapi import APIRouter

from app.door import aliases_api, recorded_api

router = APIRouter()
router.include_router(recorded_api.router)
router.include_router(aliases_api.router)
