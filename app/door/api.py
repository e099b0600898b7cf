"""Joins the routes of the OpenAI-compatible API. app/main.py mounts them at /v1."""

from fastapi import APIRouter

from app.door import models_api

router = APIRouter()
router.include_router(models_api.router)
