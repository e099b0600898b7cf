"""`tunebook scores, predictions, compare, figure, export, import-predictions, ask`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.client import Rows
from app.commands.connect import connected
from app.commands.launching import ExperimentNumber, RunNumber
from app.commands.told import AsJson, tell

Out = Annotated[Path | None, typer.Option(help="File to write; default: a name of its own here.")]
SCORES = ("run", "model", "variant", "seed", "metric", "value", "low", "high", "n")


def scores(
    experiment: ExperimentNumber,
    metric: Annotated[str, typer.Option(help="Only this metric.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show every score of an experiment with its interval."""
    with connected() as lab:
        rows = lab.experiment(experiment).score_rows()
    tell(Rows([row for row in rows if metric in ("", row["metric"])], SCORES), as_json)


def predictions(
    run: RunNumber,
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Cells as they are, not made safe for spreadsheets.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines in place of CSV.")] = False,
) -> None:
    """Write a run's test predictions as CSV."""
    path = f"/runs/{run}/predictions.csv"
    asked: dict[str, Any] = {"raw": raw}
    if as_json:
        path, asked = "/comparisons/export", {"runs": run, "what": "predictions", "format": "jsonl"}
    with connected() as lab:
        if out:
            lab.download(path, out, out.name, progress=False, **asked)
            return
        with lab.wire.streamed("GET", f"/api/v1{path}", params=asked) as answer:
            for piece in answer.iter_bytes():
                sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def compare(
    a: Annotated[str, typer.Argument(help="A run, or several seeds of one model: 1,2,3.")],
    b: Annotated[str, typer.Argument(help="What it is held against.")],
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Only items that do not stand in train too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test A against B over the same items, by every metric."""
    sides = [_runs(side) for side in (a, b)]
    with connected() as lab:
        found = lab.compare(*sides, subset="unseen" if unseen else "all").tests(*sides)
    tell(found, as_json)


def _runs(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise typer.BadParameter("runs are chosen by their numbers, for example 1,2,3")
    return [int(part) for part in parts]


def figure(
    name: Annotated[str, typer.Argument(help="scores, calibration, confusion, learning_curve, ...")],
    runs: Annotated[str, typer.Argument(help="Runs, comma separated.")],
    out: Out = None,
    kind: Annotated[
        str, typer.Option("--format", help="svg, pdf, or csv; default: as the file's name says.")
    ] = "",
) -> None:
    """Draw a figure of runs."""
    chosen = kind or (out.suffix.removeprefix(".") if out else "") or "svg"
    with connected() as lab:
        typer.echo(lab.compare(_runs(runs)).figure(name, chosen).save(out))


def export(
    run: RunNumber,
    kind: Annotated[
        str,
        typer.Argument(
            help="bundle, weights, merged, gguf, cog, model-card, paper-bundle, tensorboard, wandb; mlflow."
        ),
    ],
    out: Out = None,
    precision: Annotated[str | None, typer.Option(help="Of gguf: fp16 or fp32.")] = None,
    to: Annotated[str, typer.Option(help="Of mlflow: the tracking server's address.")] = "",
    there: Annotated[str, typer.Option(help="Of mlflow: the experiment's name there.")] = "",
) -> None:
    """Fetch what can be made of a run, or send it. A token for the server is read from TUNEBOOK_MLFLOW_TOKEN."""
    with connected() as lab:
        found = lab.run(run)
        ready = {"bundle": found.bundle, "weights": found.weights}
        asked: dict[str, Any] = {"precision": precision} if precision else {}
        if kind == "mlflow":
            asked = {"url": to, "experiment": there, "token": os.environ.get("TUNEBOOK_MLFLOW_TOKEN")}
            typer.echo(found.send(kind, **asked)["url"])
            return
        typer.echo(ready[kind](out) if kind in ready else found.export(kind, out, **asked))


def import_predictions(
    experiment: ExperimentNumber,
    file: Annotated[Path, typer.Argument(help="CSV, JSON or JSONL with `answer` and what names the item.")],
    model: Annotated[str, typer.Option(help="What made them; the run is imported/<model>.")],
    as_json: AsJson = False,
) -> None:
    """Score predictions that were made elsewhere."""
    with connected() as lab:
        run = lab.experiment(experiment).import_predictions(file, model)
    tell(run, as_json)
    raise typer.Exit(0 if run.state == "done" else 1)


def ask(
    model: Annotated[str, typer.Argument(help="run-12, or a model's name.")],
    question: Annotated[str, typer.Argument(help="What to ask; - reads standard input.")],
    top: Annotated[int, typer.Option(min=0, max=20, help="Also show this many likeliest first tokens.")] = 0,
    max_tokens: Annotated[int | None, typer.Option(help="At most so many tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Default: 0 for tuned runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model; the answer comes as it is written."""
    text = sys.stdin.read() if question == "-" else question
    options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
    options = {name: value for name, value in options.items() if value is not None}
    with connected() as lab:
        if not (top or as_json):
            for piece in lab.stream(model, text, **options):
                typer.echo(piece, nl=False)
            typer.echo()
            return
        answer = lab.ask(model, text, top=top, **options)
    shown = "".join(f"\n{share:8.4f}  {token!r}" for token, share in answer.top.items())
    tell(answer, as_json, f"{answer.text}{shown}")


def bundle(
    runs: Annotated[str, typer.Argument(help="Runs, comma separated.")],
    out: Out = None,
    data: Annotated[bool, typer.Option("--data", help="With the whole data file.")] = False,
) -> None:
    """Fetch the paper bundle of several runs as a zip."""
    with connected() as lab:
        typer.echo(lab.compare(_runs(runs)).bundle(out, data=data))
