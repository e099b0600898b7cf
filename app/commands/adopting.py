"""`tunebook adopt`: a training made elsewhere becomes a run."""

import os
from pathlib import Path
from typing import Annotated

import typer

from app.client.adopting import from_mlflow
from app.commands.connect import connected
from app.commands.told import AsJson, tell


def adopt(
    folder: Annotated[Path | None, typer.Argument(help="What Transformers, TRL or Axolotl wrote.")] = None,
    experiment: Annotated[int, typer.Option(help="The experiment whose test items it is scored on.")] = ...,  # type: ignore[assignment]
    name: Annotated[str, typer.Option(help="Name of the run.")] = ...,  # type: ignore[assignment]
    base: Annotated[str, typer.Option(help="Base model; default: the one that the folder names.")] = "",
    predictions: Annotated[
        Path | None, typer.Option(help="Its predictions; default: made by the server.")
    ] = None,
    mlflow: Annotated[str, typer.Option(help="In place of a folder: an MLflow server's address.")] = "",
    run: Annotated[str, typer.Option(help="With --mlflow: the run's id there.")] = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for its predictions.")] = False,
    as_json: AsJson = False,
) -> None:
    """Adopt a training made elsewhere: hyperparameters, curves, weights. A token for MLflow: TUNEBOOK_MLFLOW_TOKEN."""
    if bool(folder) == bool(mlflow) or bool(mlflow) != bool(run):
        raise typer.BadParameter("give a folder, or --mlflow with --run")
    with connected() as lab:
        into = lab.experiment(experiment)
        if folder:
            made = into.adopt(folder, name, base=base, predictions=predictions, wait=not no_wait)
        else:
            with from_mlflow(mlflow, run, os.environ.get("TUNEBOOK_MLFLOW_TOKEN", "")) as fetched:
                made = into.adopt(fetched, name, base=base, predictions=predictions, wait=not no_wait)
    tell(made, as_json)
    raise typer.Exit(1 if made.state in ("failed", "cancelled") else 0)
