"""Exports as JSON under /api/v1: each part of the noun has a file of its own, joined here."""

from fastapi import APIRouter

from app.exports import paper_api, share_api, share_link_api

router = APIRouter()
router.include_router(share_api.router)
router.include_router(paper_api.router)
router.include_router(share_link_api.router)
