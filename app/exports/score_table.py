"""The table of a paper, before it is LaTeX, Markdown or CSV: which columns, which cells, what the caption says.

Bold is set only where the test supports it: the column of right answers, for the best run and every run that is
not significantly worse, and only when some run is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from app.evaluations.columns import SECONDARY, written
from app.evaluations.leaderboard import ScoreView
from app.exports.pairs import SIGNIFICANT
from app.exports.state import PaperRun, PaperState
from app.format import money, number, plural
from app.metrics import Metric, for_task

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """One cell: text, the interval behind it (or ""), and whether it is bold."""

    text: str
    interval: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Line:
    """One line; `summary` lines are the mean over a model's seeds."""

    model: str
    seed: str
    cells: tuple[Cell, ...]
    summary: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Heads of the columns behind model and seed, lines from the best down, and the caption's sentences."""

    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    caption: tuple[str, ...]


def score_table(state: PaperState) -> ScoreTable:
    """Lays the state out."""
    metrics = _metrics(state)
    labels = {metric.name: metric for metric in for_task(state.task)}
    heads = [_head(labels[name]) for name in metrics]
    decimals = {name: _decimals(state, name) for name in metrics}
    corrected = {pair.b: pair.p_holm for pair in state.pairs}
    bold, shown = bold_runs(state), shown_intervals(state)
    lines: list[Line] = []
    for line in dict.fromkeys(run.line for run in state.runs):
        runs = [run for run in state.runs if run.line == line]
        for run in runs:
            cells = [
                _score(
                    run.scores.get(name),
                    name == state.tested and run.key in bold,
                    name in shown,
                    decimals[name],
                )
                for name in metrics
            ]
            if _leaks(state):
                unseen = run.unseen.get(state.primary) or run.scores.get(state.primary)
                cells.append(_score(unseen, False, True, decimals[state.primary]))
            if state.pairs:
                cells.append(Cell(p_written(corrected[run.key]) if run.key in corrected else DASH))
            lines.append(Line(_called(run), _seed(run), (*cells, *_used(state, run))))
        if len(runs) > 1 and all(run.seed is not None for run in runs):
            lines.append(_over_seeds(state, runs, decimals))
    heads += [_head(labels[state.primary], " unseen")] if _leaks(state) else []
    heads += ["p against the best"] if state.pairs else []
    return ScoreTable((*heads, *_used_heads(state)), tuple(lines), caption(state))


def _metrics(state: PaperState) -> list[str]:
    """The primary metric, the one that is tested, then the others that some run has."""
    wanted = dict.fromkeys((state.primary, state.tested, *SECONDARY.get(state.task, ())))
    return [name for name in wanted if any(name in run.scores for run in state.runs)]


def _leaks(state: PaperState) -> bool:
    """Whether some test items stand in train too."""
    return any(run.unseen for run in state.runs)


def _used_heads(state: PaperState) -> list[str]:
    """What was paid, where something was; how long it took stands in the Methods."""
    return ["Cost"] if any(run.microdollars for run in state.runs) else []


def _used(state: PaperState, run: PaperRun) -> list[Cell]:
    return [Cell(DASH if run.imported else money(run.microdollars)) for _ in _used_heads(state)]


def _called(run: PaperRun) -> str:
    """The model with what sets these runs of it apart."""
    return f"{run.label}, {run.variant}" if run.variant else run.label


def _seed(run: PaperRun) -> str:
    return DASH if run.seed is None else str(run.seed)


def _head(metric: Metric, of: str = "") -> str:
    return metric.label + of + (", %" if metric.format == "percent" else "")


def _score(score: ScoreView | None, bold: bool, interval: bool, decimals: int) -> Cell:
    if score is None or score.value is None:
        return Cell(DASH)
    ends = ""
    if interval and score.low is not None and score.high is not None:
        ends = " to ".join(aligned_text(end, score.format, decimals) for end in (score.low, score.high))
    return Cell(aligned_text(score.value, score.format, decimals), ends, bold)


def _decimals(state: PaperState, name: str) -> int:
    """How many decimals give every number of a column three digits; numbers below a tenth of the largest get fewer."""
    values = [abs(s.value) for run in state.runs if (s := run.scores.get(name)) is not None and s.value]
    weighty = [value for value in values if value >= max(values) / 10]
    return max(2 - math.floor(math.log10(min(weighty))), 0) if weighty else 0


def aligned_text(value: float, form: str, decimals: int) -> str:
    """A score for a column of them: percents with one decimal, numbers with `decimals`, so that points align."""
    if form == "percent" or decimals > 6 or abs(value) >= 1e6:
        return written(value, form)
    text = f"{value:.{decimals}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def _over_seeds(state: PaperState, runs: Sequence[PaperRun], decimals: Mapping[str, int]) -> Line:
    cells = []
    for name, places in decimals.items():
        scores = [run.scores[name] for run in runs if name in run.scores]
        values = [score.value for score in scores if score.value is not None]
        if len(values) < 2:
            cells.append(Cell(DASH))
            continue
        form = scores[0].format
        spread = written(stdev(values), form) if form == "percent" else number(stdev(values), 2)
        shown = f"SD {spread}" if name in shown_intervals(state) else ""
        cells.append(Cell(aligned_text(fmean(values), form, places), shown))
    cells += [Cell("")] * (_leaks(state) + bool(state.pairs) + len(_used_heads(state)))
    return Line(_called(runs[0]), f"mean of {len(runs)}", tuple(cells), summary=True)


def bold_runs(state: PaperState) -> set[str]:
    """The best run and those that are not significantly worse; none when no run is significantly worse."""
    if not any(pair.significant for pair in state.pairs):
        return set()
    return {state.best.key} | {pair.b for pair in state.pairs if not pair.significant}


def p_written(p: float) -> str:
    """0.0004 -> "< 0.001", 0.0312 -> "0.031"; never rounded across 0.05."""
    if p < 0.001:
        return "< 0.001"
    text = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return f"{p:.4f}" if text == "0.050" else text


def caption(state: PaperState) -> tuple[str, ...]:
    """What a reader must know to read the numbers, as sentences."""
    counts = sorted({run.items for run in state.runs})
    n = plural(counts[0], "test item") if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} test items"
    parts = [f"Scores on {n} of the data set “{state.dataset.name}”."]
    if _leaks(state):
        left = sorted({run.unseen[state.primary].n for run in state.runs if state.primary in run.unseen})
        n = f"{left[0]:,}" if len(left) == 1 else f"{left[0]:,} to {left[-1]:,}"
        parts.append(f"Unseen: on the {n} test items whose input does not stand in train too.")
    parts.append(interval_sentence(state, shown_intervals(state)))
    parts += _test_sentences(state)
    parts += _seed_sentences(state)
    return tuple(parts)


def shown_intervals(state: PaperState) -> tuple[str, ...]:
    """The metrics whose intervals stand in the table, lest it become too wide; scores.csv has them all."""
    return state.primary, state.tested


def interval_sentence(state: PaperState, names: Sequence[str] = ()) -> str:
    """How the intervals of these metrics were made; of all in the table when none is named."""
    wanted = names or _metrics(state)
    scores = [run.scores[name] for run in state.runs for name in wanted if name in run.scores]
    grouped = any("groups" in score.detail for score in scores)
    rates = any("right" in score.detail for score in scores)
    drawn = any("right" not in score.detail and score.low is not None for score in scores)
    others = " for the others" if rates else ""
    ways = ["Wilson’s" + (" for rates" if drawn else "")] * rates
    ways += [f"BCa bootstrap over items{others}"] * drawn
    said = f"95 % intervals: {', '.join(ways)}" if ways else "No intervals"
    return said + (", which take the groups of items into account." if grouped else ".")


def _test_sentences(state: PaperState) -> list[str]:
    if not state.pairs:
        return []
    shared = sorted({pair.items for pair in state.pairs})
    n = f"{shared[0]:,}" if len(shared) == 1 else f"{shared[0]:,} to {shared[-1]:,}"
    label = next(metric.label for metric in for_task(state.task) if metric.name == state.tested)
    pairs = plural(len(state.pairs), "comparison")
    groups = max(pair.groups for pair in state.pairs)
    test = f"exact permutation test over {groups:,} whole groups of items" if groups else "exact McNemar test"
    said = [
        f"p: {test} against the best run by {label.lower()} ({state.best.name}) on {n} shared items, "
        f"corrected by Holm for {pairs}."
    ]
    if bold_runs(state):
        said.append(
            f"Bold {label.lower()}: the best run and every run not significantly worse (corrected p ≥ {SIGNIFICANT:g})."
        )
    else:
        said.append("No run is significantly worse than the best, so none is set in bold.")
    return said


def _seed_sentences(state: PaperState) -> list[str]:
    seeds = sorted({run.seed for run in state.runs if run.seed is not None})
    if not seeds:
        return []
    said = f"{'Seed' if len(seeds) == 1 else 'Seeds'}: {', '.join(map(str, seeds))}."
    if len(seeds) > 1:
        said += " Intervals are over items; SD is over seeds."
    return [said]
