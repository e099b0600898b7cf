"""`tunebook launch, status, wait, runs, run, cancel, retry`."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from app.client import Client, DatasetRefused, Experiment, GridModel, Invalid, NotFound, UnusableFile
from app.commands.connect import connected
from app.commands.told import AsJson, run_line, tell
from app.yaml_text import read_yaml

SETTING = re.compile(r"\s+([A-Za-z_]\w*)=(\S+)$")
ExperimentNumber = Annotated[int, typer.Argument(help="The experiment's number.")]
RunNumber = Annotated[int, typer.Argument(help="The run's number.")]


def launch(
    what: Annotated[str, typer.Argument(help="The dataset's number, or a file experiment.yaml.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model's id, with values: 'starter/tiny epochs=1;3 learning_rate=0.001'; repeat it."
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, comma separated.")] = "1",
    split: Annotated[str | None, typer.Option(help="Name of the split; default: the first.")] = None,
    name: Annotated[str, typer.Option(help="Name of the experiment.")] = "",
    upload: Annotated[
        Path | None, typer.Option(help="With a file: the data to upload if no dataset here has its hash.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say runs, time and price.")] = False,
    at_most: Annotated[
        float | None, typer.Option(help="Dollars; launch nothing when the estimate is above or unknown.")
    ] = None,
    launch_key: Annotated[str, typer.Option(help="Sent twice with the same key it is one launch.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until all runs are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Launch an experiment: every model with every seed, or again what a file experiment.yaml names."""
    with connected() as lab:
        if not what.isdecimal():
            experiment = _launch_file(lab, Path(what), upload)
        else:
            asked: dict[str, Any] = {"split": split, "name": name, "launch_key": launch_key}
            grid = [_grid_model(each) for each in model or []]
            plan = lab.plan(int(what), grid, _seeds(seeds), **asked) if dry_run else None
            if plan is not None:
                tell(plan, as_json)
                raise typer.Exit(1 if plan.problems else 0)
            experiment = lab.launch(int(what), grid, _seeds(seeds), at_most_usd=at_most, **asked)
        if not as_json:
            typer.echo(f"experiment {experiment.id}: {len(experiment.runs)} runs")
        if wait or as_json:
            _watch(experiment, wait, as_json)


def _seeds(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter("seeds are whole numbers, for example 1,2", param_hint="--seeds")
    return [int(number) for number in numbers]


def _grid_model(text: str) -> GridModel:
    """ "starter/tiny epochs=1;3": the server reads the values, so that it alone knows each one's kind."""
    values: dict[str, str] = {}
    while found := SETTING.search(text):
        values = {found[1]: found[2], **values}
        text = text[: found.start()]
    compute = values.pop("compute", "")
    return GridModel(text.strip(), compute=compute, **values)


def _launch_file(lab: Client, path: Path, data: Path | None) -> Experiment:
    """`data` is uploaded when no dataset has the hash that the file names; left out, the file's own
    `dataset: {path: ...}` (beside it) is taken."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableFile(f"{path} cannot be read: {error}.", "Give a file that Tunebook wrote.") from error
    named = (read_yaml(text) or {}).get("dataset") or {}
    if data is None and named.get("path"):
        data = path.parent / str(named["path"])
    try:
        return lab.launch_yaml(text)
    except NotFound:
        if data is None:
            raise
    try:
        lab.upload(data)
    except DatasetRefused as error:
        raise Invalid(
            f"{data} was refused.", f"See dataset {error.dataset.id} for what is wrong with it."
        ) from error
    return lab.launch_yaml(text)


def status(
    experiment: ExperimentNumber,
    wait: Annotated[bool, typer.Option(help="Wait until all runs are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an experiment's runs; ends with 1 when one of them failed or was cancelled."""
    with connected() as lab:
        _watch(lab.experiment(experiment), wait, as_json)


def wait(experiment: ExperimentNumber, as_json: AsJson = False) -> None:
    """Wait until all runs of an experiment are over; ends with 1 when one of them failed or was cancelled."""
    with connected() as lab:
        _watch(lab.experiment(experiment), True, as_json)


def _watch(experiment: Experiment, wait: bool, as_json: bool) -> None:
    found = experiment.wait() if wait else experiment
    tell(found, as_json, "\n".join(run_line(run) for run in found.runs))
    if any(run.state in ("failed", "cancelled") for run in found.runs):
        raise typer.Exit(1)


def experiments(as_json: AsJson = False) -> None:
    """List the experiments."""
    with connected() as lab:
        tell(lab.experiments(), as_json)


def runs(
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state; active: under way.")] = None,
    best: Annotated[
        str | None, typer.Option(help="Best first by this metric; default: newest first.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the runs of the project."""
    with connected() as lab:
        tell(lab.runs(model, state, best, limit), as_json)


def run(number: RunNumber, as_json: AsJson = False) -> None:
    """Show one run: its scores and its ledger of hyperparameters."""
    with connected() as lab:
        found = lab.run(number)
    lines = [repr(found), repr(found.scores), "", repr(found.ledger)]
    lines[1:1] = [f"{found.error} {found.hint or ''}".strip()] if found.error else []
    tell(found, as_json, "\n".join(lines))


def cancel(number: RunNumber) -> None:
    """Ask for a run's end."""
    with connected() as lab:
        found = lab.run(number).cancel()
    typer.echo(f"run {found.id}: {found.state}, its end is asked for")


def retry(number: RunNumber) -> None:
    """Start a failed or cancelled run again."""
    with connected() as lab:
        found = lab.run(number).retry()
    typer.echo(f"run {found.id}: {found.state}")
