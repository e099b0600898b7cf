"""The commands `tunebook user ...`, added by app/__main__.py. They act as an admin: whoever runs them owns the data."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlmodel import Session

    from app.lab.actor import Actor

user = typer.Typer(help="Accounts of the lab: add, list, reset, disable, enable.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(help="The member's e-mail address.")]


@user.command()
def add(
    email: Email,
    name: Annotated[str, typer.Option(help="Name; default: what stands before the @.")] = "",
    role: Annotated[str, typer.Option(help="admin, member or viewer.")] = "member",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
) -> None:
    """Make an account; asks for its password, which is never an argument that others could see."""
    from app.db import session_scope
    from app.lab.accounts import make_member
    from app.lab.actor import first_actor
    from app.migrate import migrate

    migrate()
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    # An empty one is refused like every other that is too short.
    with session_scope() as session:
        first_actor(session)
        member = make_member(session, name or email.partition("@")[0], email, role, password or " ")
    typer.echo(f"{member.email} is {member.role} now.")


@user.command("list")
def list_users() -> None:
    """Show every account."""
    from app.db import session_scope
    from app.lab.members import list_members
    from app.migrate import migrate

    migrate()
    with session_scope(write=False) as session:
        for line in list_members(session):
            state = "disabled" if line.disabled_at else f"signs in by {line.way}"
            typer.echo(f"{line.id:4}  {line.role:7} {line.email or '(no address)'}  {line.name}, {state}")


@user.command()
def reset(email: Email) -> None:
    """Print a link by which the member chooses a new password."""
    from app.db import session_scope
    from app.lab.invitations import make_reset
    from app.migrate import migrate
    from app.up import address

    migrate()
    with session_scope() as session:
        secret = make_reset(session, _admin(session), _id(session, email))
    typer.echo(f"{address()}/invitations?token={secret}")


@user.command()
def disable(email: Email) -> None:
    """Close an account at once, with every session and token of it."""
    from app.db import session_scope
    from app.lab.accounts import disable_member
    from app.migrate import migrate

    migrate()
    with session_scope() as session:
        disable_member(session, _admin(session), _id(session, email))
    typer.echo(f"{email} is disabled now.")


@user.command()
def enable(email: Email) -> None:
    """Open a disabled account again."""
    from app.db import session_scope
    from app.lab.accounts import enable_member
    from app.migrate import migrate

    migrate()
    with session_scope() as session:
        enable_member(session, _admin(session), _id(session, email))
    typer.echo(f"{email} is enabled now.")


def _admin(session: "Session") -> "Actor":
    from dataclasses import replace

    from app.lab.actor import first_actor
    from app.tables import Role

    return replace(first_actor(session), role=Role.ADMIN)


def _id(session: "Session", email: str) -> int:
    from sqlmodel import select

    from app.errors import NotFound
    from app.tables import Member

    member = session.exec(select(Member).where(Member.email == email.strip().lower())).first()
    if member is None:
        raise NotFound(f"There is no account {email}.", "Look at `tunebook user list`.")
    return member.id or 0
