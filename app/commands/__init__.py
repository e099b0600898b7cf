"""The commands that talk to a running Tunebook, on top of app/client; added to `tunebook` by app/__main__.py."""

import typer

from app.commands import adopting, data, launching, results

COMMANDS = (
    data.upload, data.datasets, data.splits, data.split, data.models, data.model,
    launching.launch, launching.status, launching.wait, launching.experiments,
    launching.runs, launching.run, launching.cancel, launching.retry,
    results.scores, results.predictions, results.compare, results.figure, results.bundle,
    results.export, results.import_predictions, adopting.adopt, results.ask,
)  # fmt: skip


def add_to(tunebook: typer.Typer) -> None:
    """Makes all of them part of the command."""
    for command in COMMANDS:
        tunebook.command()(command)
