"""The address that people open, for links that leave the browser: in e-mails, invitations and at other sites."""

from fastapi import Request

from app.config import settings


def own_address(request: Request) -> str:
    """Without a slash at the end. Where no public address is set, the one that this request came by."""
    return settings().public_url or str(request.base_url).rstrip("/")
