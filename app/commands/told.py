"""How commands say what they found: lines for people, JSON for other programs."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from app.client import Dataset, Experiment, Rows, Run, RunLine

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for other programs.")]


def tell(found: Any, as_json: bool, text: str | None = None) -> None:
    """One answer: `text`, or the table of what was found; with as_json all of it as JSON."""
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(plain(found)), indent=2).decode())
    elif text is not None:
        typer.echo(text)
    else:
        typer.echo(repr(found))


def plain(found: Any) -> Any:
    """Records as JSON can hold them; what begins with an underscore is left out."""
    if isinstance(found, Rows):
        return [plain(each) for each in found]
    if isinstance(found, Run):
        said = {
            each.name: getattr(found, each.name) for each in fields(found) if not each.name.startswith("_")
        }
        return plain({**said, "scores": found.scores, "ledger": found.ledger})
    if is_dataclass(found) and not isinstance(found, type):
        said = {
            each.name: getattr(found, each.name) for each in fields(found) if not each.name.startswith("_")
        }
        return plain({**said, "runs": found.runs} if isinstance(found, Experiment) else said)
    if isinstance(found, dict):
        return {str(name): plain(value) for name, value in found.items()}
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return [plain(each) for each in found]
    return (
        found.isoformat() if isinstance(found, datetime) else str(found) if isinstance(found, Path) else found
    )


def dataset_line(dataset: Dataset) -> str:
    """For example "dataset 3: ready, 5009 items (train 4008, validation 500, test 501), classification"."""
    parts = {name: count for name, count in dataset.parts.items() if count}
    counts = ", ".join(f"{name} {count}" for name, count in parts.items())
    told = f", {sum(parts.values())} items ({counts}), {dataset.task}" if parts else ""
    return f"dataset {dataset.id}: {dataset.state}{told}"


def run_line(run: RunLine) -> str:
    """For example "run 4: baseline/majority, done, accuracy 0.345 [0.305, 0.388]"."""
    seed = "" if run.seed is None else f" seed {run.seed}"
    variant = f" ({run.variant})" if run.variant else ""
    first = [f"{score.name} {score}" for score in run.scores[:1] if score.low is not None]
    return ", ".join([f"run {run.id}: {run.model}{variant}{seed}", run.state, *first])
