"""Joins the routes of the OpenAI-compatible API. app/main.py mounts them at /v1."""

from fastapi import APIRouter

from app.door import files_api, models_api, tuning_api

router = APIRouter()
router.include_router(models_api.router)
router.include_router(files_api.router)
router.include_router(tuning_api.router)
