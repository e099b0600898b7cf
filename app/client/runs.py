"""A run at the server: ledger, scores, predictions, curves, files. Made by client.py."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import ExportFailed
from .progress import Progress
from .records import OVER, RESTS, LedgerLine, Score, made, scores_of, usd
from .rows import Rows, frame, html_table
from .waiting import wait_until

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True)
class Run:
    """One model, one seed, one dataset. `snapshot` is what it was made from, `error` and `hint` why it failed.

    >>> run
    Run(2, 'baseline/tfidf-linear', done, Accuracy 1.000 [0.722, 1.000])
    """

    id: int
    model: str
    state: str
    experiment_id: int
    dataset_id: int
    seed: int | None = None
    progress: float = 0.0
    progress_note: str = ""
    seconds_left: float | None = None
    error: str | None = None
    hint: str | None = None
    seconds: float | None = None
    cost_microdollars: int | None = None
    items: int | None = None
    launched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    snapshot: dict[str, Any] = field(default_factory=dict, repr=False)
    estimate: dict[str, Any] = field(default_factory=dict, repr=False)
    service: dict[str, Any] | None = field(default=None, repr=False)
    _ledger: dict[str, Any] = field(default_factory=dict, repr=False)
    _scores: dict[str, Any] = field(default_factory=dict, repr=False)
    _unseen: dict[str, Any] | None = field(default=None, repr=False)
    _lab: Any = field(default=None, repr=False, compare=False)

    @property
    def scores(self) -> Rows[Score]:
        """Its scores on the test items, the main one first.

        >>> run.scores["accuracy"].value
        1.0
        """
        return scores_of(self._scores)

    @property
    def scores_unseen(self) -> Rows[Score] | None:
        """On the test items that do not stand in train too; None where every test item is unseen."""
        return None if self._unseen is None else scores_of(self._unseen)

    @property
    def ledger(self) -> Rows[LedgerLine]:
        """Each hyperparameter: asked, sent, resolved, and whose choice it was.

        >>> run.ledger["C"].value, run.ledger["C"].source
        (30.0, 'our default')
        """
        lines = [made(LedgerLine, {**value, "name": name}) for name, value in self._ledger.items()]
        return Rows(lines, ("name", "asked", "sent", "resolved", "source"), key="name")

    @property
    def cost_usd(self) -> float | None:
        """What it cost so far, in dollars."""
        return usd(self.cost_microdollars)

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in OVER

    def predictions(self, library: str | None = None) -> Any:
        """A frame with one line per test item: what was expected, answered and read, whether that is right, and a
        column p(class) for each class.

        >>> frame = run.predictions("polars")
        >>> frame.select("expected", "answer", "correct").row(0)
        ('base', 'base', True)
        """
        return frame(self.prediction_rows(), library)

    def prediction_rows(self) -> list[dict[str, Any]]:
        """The same as dictionaries, without a library."""
        lab: Client = self._lab
        return table_rows(lab, [self.id], "predictions")

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """The training's curves: {"loss": [(step, value), ...], ...}; empty for a model without any."""
        lab: Client = self._lab
        series: Mapping[str, Any] = lab.wire.read(f"/runs/{self.id}/metrics").get("series", {})
        return {name: [(step, value) for step, value in points] for name, points in series.items()}

    def log(self) -> str:
        """Its log as text."""
        lab: Client = self._lab
        return lab.wire.read_bytes(f"/runs/{self.id}/log").decode("utf-8", "replace")

    def wait(self, timeout: float | None = None, progress: bool | None = None) -> "Run":
        """The run once it is over, or paused until a person decides."""
        lab: Client = self._lab
        line = Progress(f"run {self.id}", progress)
        try:
            return wait_until(
                self.refresh, lambda run: run.state in RESTS,
                lambda run: line(1.0 if run.over else run.progress, f"{run.state} {run.progress_note}".strip()),
                lab.wire.pause, timeout,
            )  # fmt: skip
        finally:
            line.close()

    def cancel(self) -> "Run":
        """Asks for its end; it is cancelled once its process has ended."""
        lab: Client = self._lab
        lab.wire.change("POST", f"/runs/{self.id}/cancel")
        return self.refresh()

    def retry(self) -> "Run":
        """Starts a failed or cancelled run again from the beginning."""
        lab: Client = self._lab
        lab.wire.change("POST", f"/runs/{self.id}/retry")
        return self.refresh()

    def refresh(self) -> "Run":
        """As it stands now."""
        lab: Client = self._lab
        return lab.run(self.id)

    def bundle(self, to: str | os.PathLike[str] | None = None) -> Path:
        """The bundle: repeats the run and its predictions without Tunebook."""
        lab: Client = self._lab
        return lab.download(f"/runs/{self.id}/bundle.zip", to, f"run-{self.id}-bundle.zip")

    def weights(self, to: str | os.PathLike[str] | None = None) -> Path:
        """The adapter or model as safetensors, zipped."""
        lab: Client = self._lab
        return lab.download(f"/runs/{self.id}/weights.zip", to, f"run-{self.id}-weights.zip")

    def file(self, name: str) -> bytes:
        """One of its small files: config.json, metrics.jsonl, log.txt, resolved.json, environment.json."""
        lab: Client = self._lab
        return lab.wire.read_bytes(f"/runs/{self.id}/files/{name}")

    def export(
        self, kind: str, to: str | os.PathLike[str] | None = None, progress: bool | None = None, **asked: Any
    ) -> Path:
        """Lets the server make a file of the run and fetches it: "merged", "gguf" (precision="fp16"), "cog",
        "model-card", "paper-bundle", "tensorboard", "wandb". Raises ExportFailed with the server's reason.

        >>> run.export("tensorboard", ".").suffix
        '.zip'
        """
        lab: Client = self._lab
        export = self._made(kind, progress, asked)
        return lab.download(f"/exports/{export['id']}/file", to, export["file_name"])

    def send(self, kind: str, progress: bool | None = None, **asked: Any) -> dict[str, Any]:
        """Lets the server send the run elsewhere, and says what came of it: "mlflow" (url=..., experiment=...),
        "push-model" or "push-dataset" (repo=...). `token` is used for this alone and not kept."""
        result: dict[str, Any] = self._made(kind, progress, asked)["result"]
        return result

    def _made(self, kind: str, progress: bool | None, asked: Mapping[str, Any]) -> dict[str, Any]:
        lab: Client = self._lab
        line = Progress(f"{kind} of run {self.id}", progress)
        export = lab.wire.change("POST", f"/runs/{self.id}/exports", {"kind": kind, **asked})
        export = wait_until(
            lambda: lab.wire.read(f"/exports/{export['id']}"),
            lambda found: found["state"] in ("ready", "failed"),
            lambda found: line(found["progress"], found["progress_note"] or found["state"]),
            lab.wire.pause,
        )
        line.close()
        if export["state"] == "failed":
            raise ExportFailed(export["error"] or "The export failed.", export["hint"] or "")
        found: dict[str, Any] = export
        return found

    def row(self) -> dict[str, Any]:
        """As a line of a table, with its first score."""
        first = self.scores[0].row() if self._scores else {}
        about = {"run": self.id, "model": self.model, "seed": self.seed, "state": self.state}
        return about | {name: first.get(name) for name in ("metric", "value", "low", "high")}

    def __repr__(self) -> str:
        told = [str(self.id), repr(self.model), self.state]
        told += [f"seed {self.seed}"] if self.seed is not None else []
        told += [f"{self.scores[0].label} {self.scores[0]}"] if self._scores else []
        told += [repr(self.error)] if self.error else []
        return f"Run({', '.join(told)})"

    def _repr_html_(self) -> str:
        return html_table([self.row()]) + self.scores._repr_html_()


def run_of(values: Mapping[str, Any], lab: "Client") -> Run:
    """A run of what the API answered."""
    known = {
        name: value for name, value in values.items() if name not in ("ledger", "scores", "scores_unseen")
    }
    return replace(
        made(Run, known),
        _ledger=values.get("ledger") or {},
        _scores=values.get("scores") or {},
        _unseen=values.get("scores_unseen"),
        _lab=lab,
    )


def table_rows(lab: "Client", runs: list[int], what: str) -> list[dict[str, Any]]:
    """A table of runs as the server exports it: "predictions", "wide" or "scores"."""
    asked = {"runs": ",".join(map(str, runs)), "what": what, "format": "jsonl"}
    data = lab.wire.read_bytes("/comparisons/export", **asked)
    return [msgspec.json.decode(line) for line in data.splitlines() if line.strip()]
