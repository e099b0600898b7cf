"""Turns a view into a page or a fragment. Routes end with one of these calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import func
from sqlmodel import Session, col, select

from app.db import new_session
from app.format import plural
from app.lab.actor import Actor
from app.render import render
from app.tables import ACTIVE, Dataset, Experiment, Run


@dataclass(frozen=True)
class NavItem:
    """One entry of the rail."""

    label: str
    href: str
    current: bool
    count: int | None


def page(
    request: Request,
    template: str,
    title: str,
    /,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **view: Any,
) -> HTMLResponse:
    """A whole page with the rail. `view` is what the template shows."""
    actor: Actor | None = getattr(request.state, "actor", None)
    nav, note = _rail(request.url.path, actor)
    text = render(template, nav=nav, rail_note=note, page_title=title, **view)
    return HTMLResponse(text, status, dict(headers or {}))


def fragment(
    template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **view: Any
) -> HTMLResponse:
    """One region of a page, from the same file that the page includes."""
    return HTMLResponse(render(template, **view), status, dict(headers or {}))


def see(url: str) -> RedirectResponse:
    """After a change: look at `url` (a path of ours) with GET."""
    return RedirectResponse(url, 303)


def is_htmx(request: Request) -> bool:
    """Whether htmx asks, and so only a region is wanted."""
    return request.headers.get("hx-request") == "true"


def _rail(path: str, actor: Actor | None) -> tuple[list[NavItem], list[str]]:
    counts: tuple[int, int, int] = (0, 0, 0)
    if actor:
        with new_session(write=False) as session:
            counts = _counts(session, actor)
    entries = [
        ("Datasets", "/datasets", counts[0] or None),
        ("Experiments", "/experiments", counts[1] or None),
        ("Compare", "/compare", None),
        ("Models", "/models", None),
        ("Lab", "/lab", None),
    ]
    noun = "/" + path.split("/")[1]
    # Pages without an entry of their own stand under another.
    current = {"/runs": "/experiments", "/judgings": "/experiments", "/settings": "/lab"}.get(noun, path)
    nav = [NavItem(label, href, current.startswith(href), n) for label, href, n in entries]
    return nav, [f"{plural(counts[2], 'run')} under way"] if counts[2] else []


def _counts(session: Session, actor: Actor) -> tuple[int, int, int]:
    def total(table: type[Any], *where: Any) -> Any:
        return (
            select(func.count())
            .select_from(table)
            .where(table.project_id == actor.project_id, *where)
            .scalar_subquery()
        )

    row = session.execute(
        select(total(Dataset), total(Experiment), total(Run, col(Run.state).in_(ACTIVE)))
    ).one()
    return row[0], row[1], row[2]
