"""The lab as JSON: one router for all of its parts."""

from fastapi import APIRouter

from app.lab import audit_api, member_api, notification_api, project_api

router = APIRouter()
router.include_router(audit_api.router)
router.include_router(project_api.router)
router.include_router(member_api.router)
router.include_router(notification_api.router)
