"""The door's pages, joined."""

from fastapi import APIRouter

from app.door import connect_routes, recorded_routes, try_routes

router = APIRouter()
router.include_router(connect_routes.router)
router.include_router(recorded_routes.router)
router.include_router(try_routes.router)
