"""Plans and experiments: price first, launch once, wait, and what came of it. Made by client.py."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .adopting import packed
from .comparisons import Comparison
from .datasets import Dataset, Source, opened
from .errors import NotFound
from .files import Figure
from .progress import Progress
from .records import RESTS, GridModel, Model, PlanLine, RunLine, made, run_line, usd
from .rows import Rows, frame, html_table
from .runs import Run
from .waiting import wait_until

if TYPE_CHECKING:
    from .client import Client

Models = str | Model | GridModel | Sequence[str | Model | GridModel]
RUN_COLUMNS = ("run", "model", "variant", "seed", "state", "metric", "value", "low", "high")


@dataclass(frozen=True)
class Plan:
    """What a launch would be: runs, time, money, and `problems` that stand against it. Nothing is launched yet.

    >>> plan = lab.plan(1, ["baseline/majority", "baseline/nearest"])
    >>> plan.runs, plan.cost_usd, plan.problems
    (2, 0.0, ())
    """

    runs: int
    seconds: float | None
    cost_microdollars: int | None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    # Services that are being asked for a model's limits: the same plan says more in a moment.
    asking: tuple[Any, ...] = ()
    models: tuple[PlanLine, ...] = ()
    launch_key: str = ""
    _body: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lab: Any = field(default=None, repr=False, compare=False)

    @property
    def cost_usd(self) -> float | None:
        """In dollars; None where nobody knows."""
        return usd(self.cost_microdollars)

    def launch(self) -> "Experiment":
        """Launches what was planned. Called twice it is still one launch, and gives the same experiment."""
        lab: Client = self._lab
        answer = lab.wire.change_with_key("/experiments", self._body, self.launch_key)
        return experiment_of(answer, lab)

    def __repr__(self) -> str:
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.2f}"
        time = "time unknown" if self.seconds is None else f"about {self.seconds:.0f} s"
        head = f"Plan({self.runs} runs, {time}, {cost})"
        return "\n".join([head, repr(Rows(self.models)), *self.problems, *self.remarks])

    def _repr_html_(self) -> str:
        return Rows(self.models)._repr_html_()


@dataclass(frozen=True)
class Experiment:
    """One launch: a dataset, a grid of models and seeds, and its runs.

    >>> experiment
    Experiment(1, 'rule, file', done, 2 runs)
    run  model                  variant  seed  state  metric    value     low    high
      2  baseline/tfidf-linear                 done   accuracy      1  0.7225       1
      1  baseline/majority                     done   accuracy    0.3  0.1078  0.6032
    """

    id: int
    name: str
    state: str
    dataset_id: int | None = None
    split: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    models: tuple[dict[str, Any], ...] = ()
    design: dict[str, Any] = field(default_factory=dict)
    choose_on: str = ""
    locked: bool = False
    folds: tuple[dict[str, Any], ...] = ()
    _runs: tuple[RunLine, ...] = field(default=(), repr=False)
    _lab: Any = field(default=None, repr=False, compare=False)

    @property
    def runs(self) -> Rows[RunLine]:
        """Its runs, the best first."""
        return Rows(self._runs, RUN_COLUMNS)

    def run(self, model: str, seed: int | None = None, variant: str | None = None) -> Run:
        """The run of a model (and a seed, where it has several).

        >>> experiment.run("baseline/majority").id
        1
        """
        lab: Client = self._lab
        for line in self._runs:
            if line.model == model and seed in (None, line.seed) and variant in (None, line.variant):
                return lab.run(line.id)
        known = ", ".join(dict.fromkeys(line.model for line in self._runs))
        raise NotFound(f"Experiment {self.id} has no such run of {model}.", f"Its models are {known}.")

    def wait(self, timeout: float | None = None, progress: bool | None = None) -> "Experiment":
        """The experiment once all its runs are over, or paused until a person decides. A line says how far it is.

        >>> experiment.wait().state
        'done'
        """
        lab: Client = self._lab
        line = Progress(f"experiment {self.id}", progress)
        try:
            return wait_until(
                self.refresh, _rests, lambda found: line(*_progress(found)), lab.wire.pause, timeout
            )
        finally:
            line.close()

    def scores(self, library: str | None = None) -> Any:
        """A frame with one line per run and metric: value and interval.

        >>> frame = experiment.scores()
        >>> frame[frame.metric == "accuracy"][["model", "value"]].values.tolist()
        [['baseline/tfidf-linear', 1.0], ['baseline/majority', 0.3]]
        """
        return frame(self.score_rows(), library)

    def score_rows(self) -> list[dict[str, Any]]:
        """The same as dictionaries."""
        return [
            {
                "run": run.id,
                "model": run.model,
                "variant": run.variant,
                "seed": run.seed,
                "part": run.part,
                **score.row(),
            }
            for run in self._runs
            for score in run.scores
            if score.value is not None
        ]

    def predictions(self, library: str | None = None, wide: bool = False) -> Any:
        """A frame of the predictions of all runs that are done: a line per run and item, or with `wide` per item."""
        return self._done().predictions(library, wide)

    def compare(self, subset: str = "all") -> Comparison:
        """Its finished runs side by side."""
        return replace(self._done(), subset=subset)

    def figure(self, name: str = "scores", format: str = "svg") -> Figure:
        """A figure of its finished runs; see Comparison.figure."""
        return self._done().figure(name, format)

    def import_predictions(self, source: Source, model: str, wait: bool = True) -> Run:
        """Scores predictions made elsewhere as the run `imported/<model>`: a CSV, JSON or JSONL file, a frame, or
        rows with `answer` and what names the item (`item`, `line`, or `input`).

        >>> rows = [{"line": item["line"], "answer": "acid"} for item in lab.dataset(1).rows(part="test")]
        >>> experiment.import_predictions(rows, "always acid").scores["accuracy"].value
        0.3
        """
        lab: Client = self._lab
        file, name, _ = opened(_rows(source), "predictions")
        with file:
            answer = lab.wire.change(
                "POST",
                f"/experiments/{self.id}/predictions",
                data={"model": model},
                files={"file": (name, file)},
            )
        run = lab.run(answer["id"])
        return run.wait(progress=False) if wait else run

    def adopt(
        self,
        folder: str | os.PathLike[str],
        name: str,
        *,
        base: str = "",
        predictions: str | os.PathLike[str] | None = None,
        wait: bool = True,
    ) -> Run:
        """Makes a run of a folder that a training elsewhere wrote (Transformers, TRL, Axolotl): ledger, curves, weights.
        With a file of predictions it is scored at once; without, the server predicts with the weights on `base` (left
        out: the model that the folder names)."""
        lab: Client = self._lab
        with packed(Path(folder), predictions) as file:
            answer = lab.wire.change(
                "POST", f"/experiments/{self.id}/adopted", data={"name": name, "base": base},
                files={"file": ("training.zip", file, "application/zip")},
            )  # fmt: skip
        run = lab.run(answer["id"])
        return run.wait() if wait else run

    def export(self, kind: str, to: str | os.PathLike[str] = ".", **asked: Any) -> list[Path]:
        """A file of each of its finished runs in the folder `to`: "tensorboard", "wandb", "model-card", ..."""
        lab: Client = self._lab
        return [lab.run(id).export(kind, to, **asked) for id in self._done().runs]

    def send(self, kind: str, **asked: Any) -> list[dict[str, Any]]:
        """Sends each of its finished runs: kind "mlflow" with url=...; see Run.send."""
        lab: Client = self._lab
        return [lab.run(id).send(kind, **asked) for id in self._done().runs]

    def yaml(self) -> str:
        """The experiment as one file, which `lab.launch_yaml` launches again, also elsewhere."""
        lab: Client = self._lab
        return lab.wire.read_bytes(f"/experiments/{self.id}/experiment.yaml").decode()

    def unlock_test(self) -> "Experiment":
        """Shows the test scores of an experiment that chose on validation; who and when stays recorded."""
        lab: Client = self._lab
        return experiment_of(lab.wire.change("POST", f"/experiments/{self.id}/unlock"), lab)

    def refresh(self) -> "Experiment":
        """As it stands now."""
        lab: Client = self._lab
        return lab.experiment(self.id)

    def _done(self) -> Comparison:
        done = tuple(run.id for run in self._runs if run.state == "done")
        if not done:
            raise NotFound(f"Experiment {self.id} has no finished run.", "Wait for one: experiment.wait().")
        return Comparison(done, _lab=self._lab)

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        states = [run.state for run in self._runs]
        return {
            "id": self.id, "name": self.name, "state": self.state, "runs": len(states), "done": states.count("done"),
            "failed": states.count("failed"),
        }  # fmt: skip

    def __repr__(self) -> str:
        head = f"Experiment({self.id}, {self.name!r}, {self.state}, {len(self._runs)} runs)"
        return f"{head}\n{self.runs!r}" if self._runs else head

    def _repr_html_(self) -> str:
        return html_table([self.row()]) + self.runs._repr_html_()


def experiment_of(values: Mapping[str, Any], lab: "Client") -> Experiment:
    """An experiment of what the API answered."""
    known = {name: value for name, value in values.items() if name != "runs" and value is not None}
    runs = tuple(run_line(run, experiment_id=values["id"]) for run in values["runs"])
    return replace(made(Experiment, known), _runs=runs, _lab=lab)


def plan_of(values: Mapping[str, Any], body: Mapping[str, Any], launch_key: str, lab: "Client") -> Plan:
    """A plan of what the API answered to a dry run of `body`."""
    known = {name: value for name, value in values.items() if name in Plan.__dataclass_fields__}
    return replace(made(Plan, known), launch_key=launch_key, _body=dict(body), _lab=lab)


def launch_body(
    dataset: int | Dataset, models: Models, seeds: Sequence[int], more: Mapping[str, Any]
) -> dict[str, Any]:
    """A launch as the API takes it."""
    several = [models] if isinstance(models, str | Model | GridModel) else list(models)
    grid = [(one if isinstance(one, GridModel) else GridModel(one)).body() for one in several]
    dataset_id = dataset.id if isinstance(dataset, Dataset) else dataset
    return {"dataset_id": dataset_id, "models": grid, "seeds": list(seeds), **more}


def _rows(source: Any) -> Source:
    for name in ("to_dicts", "to_dict"):
        if hasattr(source, name) and hasattr(source, "columns"):
            rows: Source = source.to_dicts() if name == "to_dicts" else source.to_dict("records")
            return rows
    found: Source = os.fspath(source) if isinstance(source, os.PathLike) else source
    return found


def _rests(experiment: Experiment) -> bool:
    return all(run.state in RESTS for run in experiment.runs)


def _progress(experiment: Experiment) -> tuple[float, str]:
    runs = experiment.runs
    share = sum(1.0 if run.over else min(run.progress, 0.99) for run in runs) / max(1, len(runs))
    over = sum(run.over for run in runs)
    states = {run.state for run in runs if not run.over}
    failed = sum(run.state == "failed" for run in runs)
    note = f"{over} of {len(runs)} runs" + (f", {failed} failed" if failed else "")
    return share, f"{note}, {', '.join(sorted(states))}" if states else note
