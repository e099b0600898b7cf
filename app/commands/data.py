"""`tunebook upload, datasets, splits, split, models, model`."""

from pathlib import Path
from typing import Annotated

import typer

from app.client import Dataset, DatasetRefused
from app.commands.connect import connected
from app.commands.told import AsJson, dataset_line, tell

Number = Annotated[int, typer.Argument(help="The dataset's number.")]


def upload(
    file: Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet.")],
    name: Annotated[str, typer.Option(help="Name; default: the file's.")] = "",
    task: Annotated[str, typer.Option(help="The task; default: detected.")] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="Of a table: prompt=COLUMN, answer=COLUMN; repeat it.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the check.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a dataset and wait until it is checked; ends with 1 when it is refused."""
    mapping = dict(_pair(each) for each in column or [])
    with connected() as lab:
        try:
            dataset = lab.upload(file, name, task=task, mapping=mapping, wait=not no_wait)
        except DatasetRefused as error:
            dataset = error.dataset
    tell(dataset, as_json, _report(dataset))
    raise typer.Exit(1 if dataset.state == "refused" else 0)


def _pair(text: str) -> tuple[str, str]:
    name, _, column = text.partition("=")
    if not (name and column):
        raise typer.BadParameter("write for example prompt=question", param_hint="--column")
    return name, column


def _report(dataset: Dataset) -> str:
    lines = [dataset_line(dataset)]
    for problem in dataset.problems:
        lines.append(f"  line {problem['line']}, {problem['where']}: {problem['message']} {problem['hint']}")
    lines += [f"  note: {warning['message']}" for warning in dataset.warnings]
    return "\n".join(lines)


def datasets(as_json: AsJson = False) -> None:
    """List the datasets."""
    with connected() as lab:
        tell(lab.datasets(), as_json)


def splits(dataset: Number, as_json: AsJson = False) -> None:
    """List a dataset's splits."""
    with connected() as lab:
        tell(lab.dataset(dataset).splits, as_json)


def split(
    dataset: Number,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 1,
    test: Annotated[float, typer.Option(help="Share of the test part.")] = 0.1,
    validation: Annotated[float, typer.Option(help="Share of the validation part.")] = 0.1,
    key: Annotated[str, typer.Option(help="Keep items together that share this metadata key.")] = "",
    name: Annotated[str, typer.Option(help="Name of the split.")] = "",
    as_json: AsJson = False,
) -> None:
    """Draw one more split, frozen from then on."""
    kind = "group" if key else "seeded"
    with connected() as lab:
        made = lab.dataset(dataset).make_split(
            kind, seed=seed, test=test, validation=validation, key=key, name=name
        )
    counts = ", ".join(f"{part} {count}" for part, count in made.counts.items() if count)
    tell(made, as_json, f"split {made.id}: {made.name}, {counts}")


def models(
    search: Annotated[str, typer.Argument(help="Part of a name.")] = "", as_json: AsJson = False
) -> None:
    """List the models that can be launched."""
    with connected() as lab:
        tell(lab.models(search), as_json)


def model(name: Annotated[str, typer.Argument(help="The model's id.")], as_json: AsJson = False) -> None:
    """Show one model with its hyperparameters."""
    from app.client import Rows

    with connected() as lab:
        found = lab.model(name)
    told = f"{found.id}: {found.label}. {found.description}"
    shown = Rows(found.hyperparameters, ("name", "kind", "default", "minimum", "maximum", "choices", "unit"))
    tell(found, as_json, f"{told}\n{shown!r}")
