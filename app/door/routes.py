"""The door's pages, joined."""

from fastapi import APIRouter

from app.door import recorded_routes

router = APIRouter()
router.include_router(recorded_routes.router)
