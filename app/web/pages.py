"""Turns a view into a page or a fragment. Routes end with one of these calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import func
from sqlmodel import Session, col, select

from app.format import plural
from app.lab.actor import Actor, open_to, why_not
from app.lab.notifications import unread_of
from app.render import render
from app.tables import ACTIVE, Dataset, Experiment, Project, Run
from app.web.session import reading

# (id, name, whether it is the present one)
Projects = list[tuple[int, str, bool]]


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
    nav, note, switch = _rail(request, actor)
    text = render(
        template, nav=nav, rail_note=note, rail_projects=switch, page_title=title, looks=_looks(actor), **view
    )
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


def _rail(request: Request, actor: Actor | None) -> tuple[list[NavItem], list[str], Projects]:
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    projects: Projects = []
    if actor:
        with reading(request) as session:
            counts, projects = _counts(session, actor), _projects(session, actor)
    entries = [
        ("Datasets", "/datasets", counts[0] or None),
        ("Experiments", "/experiments", counts[1] or None),
        ("Compare", "/compare", None),
        ("Models", "/models", None),
        ("Try", "/door/try", None),
        ("Lab", "/lab", counts[3] or None),
    ]
    path = request.url.path
    noun = "/" + path.split("/")[1]
    # Pages without an entry of their own stand under another.
    elsewhere = {
        "/runs": "/experiments",
        "/judgings": "/experiments",
        "/settings": "/lab",
        "/door": "/door/try",
    }
    current = elsewhere.get(noun, path)
    nav = [NavItem(label, href, current.startswith(href), n) for label, href, n in entries]
    note = [f"{plural(counts[2], 'run')} under way"] if counts[2] else []
    if actor and (reason := why_not(actor)[0]):
        note.append(f"You can look, not change: {reason}.")
    return nav, note, projects


def _looks(actor: Actor | None) -> str:
    """The class of a page whose changing forms are not shown; their routes refuse whatever is shown."""
    if actor is None or not why_not(actor)[0]:
        return ""
    return "looks-only" if actor.is_admin else "looks-only nothing-shared"


def _projects(session: Session, actor: Actor) -> Projects:
    """The projects one can switch to; empty when there is no choice."""
    query = select(Project.id, Project.name).where(open_to(actor.member_id, actor.role))
    live = col(Project.archived_at).is_(None) | (col(Project.id) == actor.project_id)
    found = session.exec(query.where(live).order_by(func.lower(Project.name)).limit(50)).all()
    return [(key or 0, name, key == actor.project_id) for key, name in found] if len(found) > 1 else []


def _counts(session: Session, actor: Actor) -> tuple[int, int, int, int]:
    """Datasets, experiments and active runs of the project, and what the member has not read."""

    def total(table: type[Any], *where: Any) -> Any:
        return (
            select(func.count())
            .select_from(table)
            .where(table.project_id == actor.project_id, *where)
            .scalar_subquery()
        )

    row = session.execute(
        select(
            total(Dataset),
            total(Experiment),
            total(Run, col(Run.state).in_(ACTIVE)),
            unread_of(actor).scalar_subquery(),
        )
    ).one()
    return row[0], row[1], row[2], row[3]
