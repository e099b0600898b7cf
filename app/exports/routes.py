"""Pages and files of exports: each part of the noun has a file of its own, joined here."""

from fastapi import APIRouter

from app.exports import paper_routes, share_link_routes, share_routes

router = APIRouter()
router.include_router(share_routes.router)
router.include_router(paper_routes.router)
router.include_router(share_link_routes.router)
