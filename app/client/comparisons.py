"""Several runs over the same items, side by side: scores, paired tests, figures, the paper. Made by client.py."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Answered, Invalid
from .files import Figure
from .records import PairedTest, made, scores_of
from .rows import Rows, frame
from .runs import table_rows
from .waiting import wait_until

if TYPE_CHECKING:
    from .client import Client

FORMATS = ("svg", "pdf", "csv")


@dataclass(frozen=True)
class Comparison:
    """Runs side by side. `subset="unseen"` leaves out the test items that stand in train too.

    >>> comparison = lab.compare([1, 2])
    >>> comparison
    Comparison(1, 2)
    """

    runs: tuple[int, ...]
    subset: str = "all"
    _lab: Any = field(default=None, repr=False, compare=False)

    def tests(self, a: Any = None, b: Any = None) -> Rows[PairedTest]:
        """Paired tests of A against B by every metric; each a run or several seeds of one model. Left out: the
        first two runs.

        >>> test = lab.compare([1, 2]).tests()["accuracy"]
        >>> print(test)
        Accuracy: -0.7 [-0.8922, -0.2282], p = 0.01562
        """
        lab: Client = self._lab
        if a is None or b is None:
            if len(self.runs) < 2:
                raise Invalid("One run has nothing to be tested against.", "Compare two runs.")
            a, b = (self.runs[0] if a is None else a), (self.runs[1] if b is None else b)
        asked = {"a": joined(a), "b": joined(b), "subset": self.subset}
        found = lab.wire.read("/comparisons/tests", **asked)
        if found["state"] == "absent":
            query = "&".join(f"{name}={value}" for name, value in asked.items())
            lab.wire.change("POST", f"/comparisons/tests?{query}")
        if found["state"] != "ready":
            found = wait_until(
                lambda: lab.wire.read("/comparisons/tests", **asked),
                lambda look: look["state"] in ("ready", "failed"),
                lambda look: None,
                lab.wire.pause,
            )
        if found["state"] == "failed":
            raise Answered(found["error"] or "The tests failed.", found["hint"] or "")
        lines = [made(PairedTest, test) for test in found["tests"]]
        return Rows(
            lines, ("metric", "n", "value_a", "value_b", "difference", "low", "high", "p"), key="metric"
        )

    def scores(self, library: str | None = None) -> Any:
        """A frame with one line per run and metric: value and interval.

        >>> lab.compare([1, 2]).scores("polars").shape[0] > 10
        True
        """
        return frame(self.score_rows(), library)

    def score_rows(self) -> list[dict[str, Any]]:
        """The same as dictionaries."""
        return [
            {"run": run["id"], "model": run["model"], "seed": run["seed"], **score.row()}
            for run in self._read()["runs"]
            if run["id"] in self.runs
            for score in scores_of(run["scores"])
            if score.value is not None
        ]

    def against(self, baseline: int | None = None) -> Rows[dict[str, Any]]:
        """Every model against one run (left out: the best baseline): difference, interval, p and p after Holm.

        >>> lab.compare([1, 2]).against(1)[0]["model"]
        'Words, linear'
        """
        found = self._read(b=baseline)["against"] or {"lines": []}
        return Rows(
            found["lines"],
            ("model", "items", "rate", "rate_of_baseline", "difference", "low", "high", "p_holm"),
        )

    def items(self, show: str = "all", **filters: Any) -> Iterator[dict[str, Any]]:
        """The items with the answers of every run; show="disagree", "all_wrong", "only_a", "regression", ...

        >>> len(list(lab.compare([1, 2]).items("disagree", a=1, b=2)))
        7
        """
        after = ""
        while True:
            page = self._read(show=show, after=after or None, **filters)
            for item in page["items"]:
                answers = zip(page["answered_by"], item["answers"], strict=True)
                yield {**item, "answers": dict(answers)}
            if page["next_after"] is None:
                return
            after = str(page["next_after"])

    def predictions(self, library: str | None = None, wide: bool = False) -> Any:
        """A frame of all predictions: a line per run and item, or with `wide` a line per item."""
        lab: Client = self._lab
        return frame(table_rows(lab, list(self.runs), "wide" if wide else "predictions"), library)

    def figure(self, name: str = "scores", format: str = "svg") -> Figure:
        """A figure as SVG, PDF or the CSV behind it: scores, learning_curve, by_label, by_group, calibration,
        entropy, confusion."""
        lab: Client = self._lab
        if format not in FORMATS:
            raise Invalid(f"There is no figure as {format!r}.", f"Formats are {', '.join(FORMATS)}.")
        data = lab.wire.read_bytes(
            f"/comparisons/figures/{name}.{format}", runs=joined(self.runs), subset=self.subset
        )
        return Figure(name, format, data)

    def paper(self) -> dict[str, str]:
        """Texts for the paper by file name: scores.tex, scores.md, methods.txt, references.bib.

        >>> sorted(lab.compare([1, 2]).paper())
        ['methods.txt', 'references.bib', 'scores.md', 'scores.tex']
        """
        lab: Client = self._lab
        found: dict[str, str] = lab.wire.read("/comparisons/paper", runs=joined(self.runs))
        return found

    def bundle(
        self, to: str | os.PathLike[str] | None = None, inputs: bool = True, data: bool = False
    ) -> Path:
        """The paper bundle as a zip; `data` puts the whole data file in."""
        lab: Client = self._lab
        asked: dict[str, Any] = {"runs": joined(self.runs), "inputs": inputs, "data": data}
        name = f"comparison-{'-'.join(map(str, self.runs[:10]))}.zip"
        return lab.download("/comparisons/bundle.zip", to, name, **asked)

    def _read(self, **asked: Any) -> dict[str, Any]:
        lab: Client = self._lab
        found: dict[str, Any] = lab.wire.read(
            "/comparisons", runs=joined(self.runs), subset=self.subset, **asked
        )
        return found

    def __repr__(self) -> str:
        return f"Comparison({', '.join(map(str, self.runs))})"

    def _repr_html_(self) -> str:
        return Rows(self.score_rows())._repr_html_()


def run_ids(runs: Any) -> tuple[int, ...]:
    """The numbers of runs: a number, a run, an experiment, or several of them."""
    if isinstance(runs, int) and not isinstance(runs, bool):
        return (runs,)
    inner = getattr(runs, "runs", None)
    if inner is not None:
        return run_ids(list(inner))
    if hasattr(runs, "id"):
        return (int(runs.id),)
    if isinstance(runs, Sequence) and not isinstance(runs, str):
        return tuple(dict.fromkeys(each for one in runs for each in run_ids(one)))
    raise Invalid(f"{runs!r} is no run.", "Give numbers of runs, runs, or an experiment.")


def joined(runs: Any) -> str:
    """Runs as the API's addresses hold them."""
    return ",".join(map(str, run_ids(runs)))
