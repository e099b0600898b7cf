"""The way in: Client(address, token). Everything else is reached from it."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from . import datasets, door
from ._wire import Wire
from .comparisons import Comparison, run_ids
from .datasets import Dataset, Source, dataset_of
from .door import Answer, Messages
from .errors import TooDear, UnusableFile
from .experiments import RUN_COLUMNS, Experiment, Models, Plan, experiment_of, launch_body, plan_of
from .progress import Progress
from .records import Model, RunLine, made, run_line
from .rows import Rows
from .runs import Run, run_of

LISTED = 50


class Client:
    """A Tunebook. Address and token are arguments, or TUNEBOOK_URL and TUNEBOOK_TOKEN.

    Reads are repeated with growing pauses while the server is away. A change is sent once; a launch carries a key, so
    that sent twice it is still one launch.

    >>> from tunebook import Client
    >>> lab = Client()
    >>> lab.dataset(1).name
    'rule'
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 120.0,
        progress: bool | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.wire = Wire(url, token, timeout, transport)
        self.progress = progress

    @property
    def url(self) -> str:
        """The server's address."""
        return self.wire.root

    # -- data ------------------------------------------------------------------------------------------------------

    def upload(
        self,
        source: Source,
        name: str = "",
        *,
        task: str = "",
        mapping: Mapping[str, str] | None = None,
        wait: bool = True,
        progress: bool | None = None,
    ) -> Dataset:
        """Uploads a file (JSON Lines, CSV, Parquet; streamed), bytes, or rows, and waits until it is checked.

        `mapping` names the columns of a table: {"prompt": column, "answer": column}. Raises DatasetRefused, whose
        `dataset.problems` says line by line what to mend.

        >>> from tunebook import DatasetRefused
        >>> try:
        ...     lab.upload([{"messages": 5}], "broken")
        ... except DatasetRefused as error:
        ...     print(error.dataset.state, error.dataset.problem_count > 0)
        refused True
        """
        shown = self.progress if progress is None else progress
        return datasets.upload(self, source, name, task, mapping, wait, shown)

    def dataset(self, id: int) -> Dataset:
        """One dataset with its report and splits."""
        return dataset_of(self.wire.read(f"/datasets/{id}"), self)

    def datasets(self) -> Rows[Dataset]:
        """All datasets of the project, the newest first; `lab.dataset(id)` has the report and the splits."""
        found = [dataset_of(each, self) for each in self._pages("/datasets", "datasets")]
        return Rows(found, ("id", "name", "state", "task", "items"))

    # -- models ----------------------------------------------------------------------------------------------------

    def models(self, search: str = "") -> Rows[Model]:
        """The models that can be launched, or those whose name or label holds `search`.

        >>> [model.id for model in lab.models("major")]
        ['baseline/majority']
        """
        found = [made(Model, model) for model in self.wire.read("/models")["models"]]
        words = search.casefold()
        return Rows([model for model in found if words in f"{model.id} {model.label}".casefold()])

    def model(self, id: str) -> Model:
        """One model with its hyperparameters.

        >>> [one.name for one in lab.model("baseline/tfidf-linear").hyperparameters][:2]
        ['C', 'ngram_max']
        """
        return made(Model, self.wire.read(f"/models/{id}"))

    # -- launching -------------------------------------------------------------------------------------------------

    def plan(
        self,
        dataset: int | Dataset,
        models: Models,
        seeds: Sequence[int] = (1,),
        *,
        split: str | int | None = None,
        name: str = "",
        launch_key: str = "",
        **more: Any,
    ) -> Plan:
        """What a launch would be, with its price; `plan.launch()` launches it. `more` goes to the API as it is:
        design={...}, augment={...}, choose_on="validation", validation_from_train=0.1.

        >>> from tunebook import GridModel
        >>> plan = lab.plan(1, GridModel("baseline/tfidf-linear", C=[1, 10]))
        >>> plan.runs
        2
        """
        body = launch_body(dataset, models, seeds, {"split": split, "name": name, **more})
        answer = self.wire.read_by_post("/experiments", {**body, "dry_run": True})
        return plan_of(answer, body, launch_key or secrets.token_hex(12), self)

    def launch(
        self,
        dataset: int | Dataset,
        models: Models,
        seeds: Sequence[int] = (1,),
        *,
        at_most_usd: float | None = None,
        split: str | int | None = None,
        name: str = "",
        launch_key: str = "",
        **more: Any,
    ) -> Experiment:
        """Launches every model with every seed. With `at_most_usd` it is priced first, and TooDear is raised where
        the estimate is above, or nobody knows one.

        >>> lab.launch(1, ["baseline/majority", "baseline/tfidf-linear"], launch_key="docs-example-1").id
        1
        >>> lab.launch(1, ["baseline/majority", "baseline/tfidf-linear"], launch_key="docs-example-1").id
        1
        """
        asked = {"split": split, "name": name, "launch_key": launch_key, **more}
        if at_most_usd is None:
            body = launch_body(dataset, models, seeds, {"split": split, "name": name, **more})
            key = launch_key or secrets.token_hex(12)
            return experiment_of(self.wire.change_with_key("/experiments", body, key), self)
        plan = self.plan(dataset, models, seeds, **asked)
        if plan.cost_usd is None or plan.cost_usd > at_most_usd:
            cost = "an unknown sum" if plan.cost_usd is None else f"about ${plan.cost_usd:.2f}"
            raise TooDear(
                f"This launch costs {cost}, and ${at_most_usd:.2f} was allowed; nothing was launched.",
                "`error.plan` has the lines; launch fewer runs or allow more.",
                plan,
            )
        return plan.launch()

    def launch_yaml(self, text: str) -> Experiment:
        """Launches an experiment's file again: the text of `experiment.yaml()` or of a file from elsewhere. It is sent
        once: after Unconfirmed look at lab.experiments() first."""
        headers = {"content-type": "application/yaml"}
        return experiment_of(
            self.wire.change("POST", "/experiments", content=text.encode(), headers=headers), self
        )

    # -- what came of it -------------------------------------------------------------------------------------------

    def experiment(self, id: int) -> Experiment:
        """One experiment with its runs and their scores."""
        return experiment_of(self.wire.read(f"/experiments/{id}"), self)

    def experiments(self) -> Rows[dict[str, Any]]:
        """All experiments of the project, the newest first; `lab.experiment(id)` has the runs."""
        return Rows(
            list(self._pages("/experiments", "experiments")),
            ("id", "name", "state", "dataset", "runs", "done", "failed"),
        )

    def run(self, id: int) -> Run:
        """One run with its ledger and scores."""
        return run_of(self.wire.read(f"/runs/{id}"), self)

    def runs(
        self, model: str | None = None, state: str | None = None, order: str | None = None, limit: int = 200
    ) -> Rows[RunLine]:
        """Runs of the project, the newest first, or with order="accuracy" the best first.

        >>> [run.id for run in lab.runs(order="accuracy", limit=1)]
        [2]
        """
        found: list[RunLine] = []
        after: str | None = None
        while len(found) < limit:
            page = self.wire.read("/runs", model=model, state=state, order=order, after=after)
            found += [run_line(run) for run in page["runs"]]
            after = page["next"]
            if not after:
                break
        return Rows(found[:limit], RUN_COLUMNS)

    def compare(self, *runs: Any, subset: str = "all") -> Comparison:
        """Runs side by side: numbers, runs, experiments, or several of them."""
        return Comparison(run_ids(list(runs)), subset, self)

    # -- the door --------------------------------------------------------------------------------------------------

    def ask(self, model: str, messages: Messages, *, top: int = 0, **options: Any) -> Answer:
        """Asks a model through the OpenAI-compatible door: "run-12", a catalog name, or an old name that the lab has
        mapped. `top` asks for that many likeliest tokens with their probabilities; `options` go on as they are
        (temperature, max_tokens, seed, stop, response_format)."""
        return door.ask(self, model, messages, top, options)

    def stream(self, model: str, messages: Messages, **options: Any) -> Iterator[str]:
        """The same piece by piece."""
        return door.stream(self, model, messages, options)

    # -- plumbing --------------------------------------------------------------------------------------------------

    def download(
        self,
        path: str,
        to: str | os.PathLike[str] | None,
        name: str,
        progress: bool | None = None,
        **asked: Any,
    ) -> Path:
        """Fetches a path below /api/v1 into a file, or into a folder under `name`. The file is whole or not there."""
        target = Path(to).expanduser() if to else Path(name)
        if target.is_dir():
            target = target / name
        if not target.parent.is_dir():
            raise UnusableFile(f"{target.parent} is no folder.", "Make it first.")
        line = Progress(target.name, self.progress if progress is None else progress)

        def said(done: int, of: int) -> None:
            line(done / of if of else 0.0, f"{done / 1e6:.1f} MB")

        try:
            return self.wire.download(path, target, said, **asked)
        finally:
            line.close()

    def close(self) -> None:
        """Closes its connections."""
        self.wire.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _pages(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        before: int | None = None
        while True:
            found = self.wire.read(path, before=before)[name]
            yield from found
            if len(found) < LISTED:
                return
            before = found[-1]["id"]

    def __repr__(self) -> str:
        return f"Client({self.url!r})"
