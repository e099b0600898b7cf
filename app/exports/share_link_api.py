"""Read-only links for one comparison, as JSON."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app.exports.share_link import LONGEST_DAYS, end_share, list_shares, share_comparison
from app.web.session import Acting, Database

router = APIRouter()


class ShareBody(BaseModel):
    """The runs as "1,2,3"; `inputs`: with the texts of the test items."""

    runs: str
    inputs: bool = True
    days: int = Field(90, ge=1, le=LONGEST_DAYS)


@router.get("/shares")
def get_shares(session: Database, actor: Acting) -> list[dict[str, Any]]:
    """The project's links that still open, newest first."""
    return [asdict(line) for line in list_shares(session, actor)]


@router.post("/shares", status_code=201)
def post_share(body: ShareBody, request: Request, session: Database, actor: Acting) -> dict[str, str]:
    """A new link; its `url` is shown this once."""
    secret = share_comparison(session, actor, body.runs, body.inputs, body.days)
    return {"url": f"{str(request.base_url).rstrip('/')}/shared/{secret}"}


@router.delete("/shares/{share_id}", status_code=204)
def delete_share(share_id: int, session: Database, actor: Acting) -> None:
    """Ends a link."""
    end_share(session, actor, share_id)
