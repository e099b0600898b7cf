"""Posted forms as plain values. Routes of all features use these."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData


async def posted_form(request: Request) -> FormData:
    """The fields of a small form; uploads have their own way (app/web/upload.py)."""
    return await request.form(max_fields=5000, max_part_size=1024 * 1024)


Posted = Annotated[FormData, Depends(posted_form)]


def text(form: FormData, name: str, default: str = "") -> str:
    """A field's text, without blanks around it."""
    value = form.get(name, default)
    return value.strip() if isinstance(value, str) else default


def secret(form: FormData, name: str) -> str:
    """A password exactly as it was typed."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def texts(form: FormData, name: str) -> list[str]:
    """All values of a field that may be ticked several times."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def whole(form: FormData, name: str, default: int = 0) -> int:
    """A field as a whole number, or the default when it is none."""
    value = text(form, name)
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else default
