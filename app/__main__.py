"""The `tunebook` command. Each command is a few lines here; the work is in up.py, commands/ and doctor.py."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import ValidationError

from app.backup_commands import add_to
from app.errors import TunebookError
from app.storage_commands import storage
from app.user_commands import user

# These stay for long and talk to no Tunebook: they do without the client, which is several MB.
RESIDENT = ("up", "web", "worker", "clock")

tunebook = typer.Typer(
    help="The lab notebook for fine-tuned language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path | None, typer.Option("--data", help="Data folder; default: TUNEBOOK_DATA or ./data.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of the web server; default: 8000.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of another Tunebook; its token is read from TUNEBOOK_TOKEN."),
]


@tunebook.callback()
def chosen(data: Data = None, port: Port = None, url: Url = None) -> None:
    """The lab notebook for fine-tuned language models."""
    os.umask(0o077)
    if data is not None:
        os.environ["TUNEBOOK_DATA"] = str(data.expanduser().resolve())
    if port is not None:
        os.environ["TUNEBOOK_PORT"] = str(port)
    if url is not None:
        os.environ["TUNEBOOK_URL"] = url


@tunebook.command()
def up(data: Data = None, port: Port = None) -> None:
    """Start Tunebook here: web server and worker, until Ctrl-C."""
    chosen(data, port)
    from app.up import up as run

    run()


@tunebook.command()
def web() -> None:
    """Run the web server alone (for servers; `up` starts it for you)."""
    from app.migrate import require_schema
    from app.serve import serve
    from app.up import setup_words

    require_schema()
    # Whoever reads the log makes the first admin; until then strangers get no farther than the page that asks.
    typer.echo(setup_words() or "Accounts are ready.")
    serve()


@tunebook.command()
def worker(
    queues: Annotated[
        str, typer.Option(help="What it takes: cpu, gpu, remote, comma separated; default: all.")
    ] = "",
) -> None:
    """Run the worker alone (for servers; `up` starts it for you)."""
    if queues:
        os.environ["TUNEBOOK_QUEUES"] = queues
    from app.migrate import require_schema
    from app.runs.hosts import make_slots
    from app.up import worker_command

    require_schema()
    make_slots()
    command = worker_command()
    os.execv(command[0], command)


@tunebook.command()
def inference() -> None:
    """Run the server of local models alone (for servers; `up` starts it for you)."""
    os.execv(sys.executable, [sys.executable, "-m", "workers.inference"])


@tunebook.command()
def clock() -> None:
    """Run the clock alone: one for each database (for servers; `up` starts it for you)."""
    from app.migrate import require_schema
    from app.up import clock_command

    require_schema()
    command = clock_command()
    os.execv(command[0], command)


@tunebook.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from app.migrate import migrate as run

    run()


@tunebook.command()
def sign_in() -> None:
    """Print a new one-time sign-in link."""
    from app.up import sign_in_link

    migrate()
    typer.echo(sign_in_link())


@tunebook.command()
def token(
    name: Annotated[str, typer.Argument(help="What the token is for.")] = "command line",
    budget: Annotated[float | None, typer.Option(help="Dollars that it may spend at /v1 in all.")] = None,
) -> None:
    """Print a new token for the API, and nothing else."""
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.tokens import make_api_token

    migrate()
    with session_scope() as session:
        secret = make_api_token(session, first_actor(session), name, budget=budget)
    typer.echo(secret)


@tunebook.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list, for other programs.")] = False,
) -> None:
    """Check everything Tunebook needs; each line says ok or what to do."""
    from app.doctor import checks
    from app.doctor_server import server_checks

    found = [*checks(), *server_checks()]
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in found], indent=2))
    for check in () if as_json else found:
        typer.echo(f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.found}")
        if not check.ok:
            typer.echo(f"     to do: {check.to_do}")
    raise typer.Exit(0 if all(check.ok for check in found) else 1)


def _command(words: list[str]) -> str:
    """The command's name: the first word that is no option nor an option's value."""
    for before, word in zip(["", *words], words, strict=False):
        if not word.startswith("-") and before not in ("--data", "--port", "--url"):
            return word
    return ""


add_to(tunebook)
if _command(sys.argv[1:]) not in RESIDENT:
    from app.commands import add_to as add_client_commands

    add_client_commands(tunebook)
tunebook.add_typer(user, name="user")
tunebook.add_typer(storage, name="storage")


def main() -> None:
    """The entry point: an expected failure is two sentences on standard error, not a traceback. Ends with 1 for a no,
    2 for a command that cannot be read, 3 where no Tunebook answers or lets us in, 4 where nobody knows whether it
    was done."""
    try:
        tunebook()
    except _expected() as error:
        typer.echo(f"{error.message}\n{error.hint}".strip(), err=True)
        sys.exit(_exit_code(error))
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"The setting TUNEBOOK_{name} cannot be used: {problem['msg']}.", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _expected() -> Any:
    """The errors that are told in two sentences: ours, and the client's where a command has loaded it."""
    if "app.client" not in sys.modules:
        return TunebookError
    from app import client

    return (TunebookError, client.TunebookError)


def _exit_code(error: Exception) -> int:
    if isinstance(error, TunebookError):
        return 1
    from app import client

    if isinstance(error, client.Unconfirmed):
        return 4
    return 3 if isinstance(error, client.Unreachable | client.NoToken | client.SignInNeeded) else 1


if __name__ == "__main__":
    main()
