"""The `tunebook` command. Each command is a few lines here; the work is in up.py, client.py and doctor.py."""

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
from app.user_commands import user

tunebook = typer.Typer(
    help="The lab notebook for fine-tuned language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path | None, typer.Option("--data", help="Data folder; default: TUNEBOOK_DATA or ./data.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of the web server; default: 8000.")]


@tunebook.callback()
def chosen(data: Data = None, port: Port = None) -> None:
    """The lab notebook for fine-tuned language models."""
    os.umask(0o077)
    if data is not None:
        os.environ["TUNEBOOK_DATA"] = str(data.expanduser().resolve())
    if port is not None:
        os.environ["TUNEBOOK_PORT"] = str(port)


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
def token(name: Annotated[str, typer.Argument(help="What the token is for.")] = "command line") -> None:
    """Print a new token for the API, and nothing else."""
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.tokens import make_api_token

    migrate()
    with session_scope() as session:
        secret = make_api_token(session, first_actor(session), name)
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


@tunebook.command()
def upload(file: Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet.")]) -> None:
    """Upload a dataset to the running Tunebook and wait until it is checked."""
    from app import client

    with client.api() as api:
        dataset = client.upload(api, file)
    typer.echo(client.dataset_line(dataset))
    for problem in dataset["problems"]:
        typer.echo(f"  line {problem['line']}, {problem['where']}: {problem['message']} {problem['hint']}")
    for warning in dataset["warnings"]:
        typer.echo(f"  note: {warning['message']}")
    raise typer.Exit(0 if dataset["state"] == "ready" else 1)


@tunebook.command()
def launch(
    what: Annotated[str, typer.Argument(help="The dataset's number, or a file experiment.yaml.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A model's id, for example baseline/majority; repeat it.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma separated.")] = "1",
    split: Annotated[str | None, typer.Option(help="Name of the split; default: the first.")] = None,
    name: Annotated[str, typer.Option(help="Name of the experiment.")] = "",
    upload: Annotated[
        Path | None, typer.Option(help="With a file: the data to upload if no dataset here has its hash.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until all runs are over.")] = False,
) -> None:
    """Launch an experiment: every model with every seed, or again what a file experiment.yaml names."""
    from app import client

    with client.api() as api:
        if what.isdecimal():
            body = _launch_body(int(what), model or [], seeds, split, name)
            experiment = client.ask(api, "POST", "/experiments", json=body)
        else:
            experiment = client.launch_file(api, Path(what), upload)
        typer.echo(f"experiment {experiment['id']}: {len(experiment['runs'])} runs")
        if wait:
            _watch(client, api, experiment["id"], wait)


def _launch_body(dataset: int, models: list[str], seeds: str, split: str | None, name: str) -> dict[str, Any]:
    numbers = seeds.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter("seeds are whole numbers, for example 1,2", param_hint="--seeds")
    return {
        "dataset_id": dataset,
        "models": [{"model": each} for each in models],
        "seeds": [int(number) for number in numbers],
        "name": name,
        "split": split,
    }


@tunebook.command()
def status(
    experiment: Annotated[int, typer.Argument(help="The experiment's number.")],
    wait: Annotated[bool, typer.Option(help="Wait until all runs are over.")] = False,
) -> None:
    """Show an experiment's runs; ends with 1 when one of them failed or was cancelled."""
    from app import client

    with client.api() as api:
        _watch(client, api, experiment, wait)


@tunebook.command()
def predictions(
    run: Annotated[int, typer.Argument(help="The run's number.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
) -> None:
    """Write a run's test predictions as CSV."""
    from app import client

    with client.api() as api:
        if out:
            client.save_predictions(api, run, out)
        else:
            client.predictions(api, run, sys.stdout.buffer)


def _watch(client: Any, api: Any, experiment_id: int, wait: bool) -> None:
    bad = 0
    for run in client.watch(api, experiment_id, wait):
        typer.echo(client.run_line(run))
        bad += run["state"] in ("failed", "cancelled")
    if bad:
        raise typer.Exit(1)


add_to(tunebook)
tunebook.add_typer(user, name="user")


def main() -> None:
    """The entry point: an expected failure is two sentences on standard error, not a traceback."""
    try:
        tunebook()
    except TunebookError as error:
        typer.echo(f"{error.message}\n{error.hint}".strip(), err=True)
        sys.exit(1)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"The setting TUNEBOOK_{name} cannot be used: {problem['msg']}.", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
