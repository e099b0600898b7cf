"""The lab leaderboard as it is drawn: numbers as text, ranks in words, links of its filters."""

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from app.catalog.models import model_label
from app.comparisons.lab_leaderboard import (
    GROUPS,
    Entry,
    LabFilter,
    LabLeaderboard,
    LabModel,
    LabTask,
)
from app.evaluations.columns import written
from app.format import DASH, duration, money, number, plural, short_count
from app.metrics import Metric

TASKS_SHOWN, MODELS_SHOWN = 6, 60
# With fewer tasks average ranks differ by chance alone too easily.
FEW_TASKS = 10
NAMES = {
    "task": {
        "": "every task",
        "classification": "classification",
        "number": "numbers",
        "list": "lists",
        "json": "JSON",
        "text": "free text",
    },
    "group": {"": "every group", **{name: name for name in GROUPS}},
    "size": {
        "": "any size",
        "under-1b": "under 1 B parameters",
        "1b-10b": "1 B to 10 B",
        "over-10b": "10 B and more",
        "unknown": "no weights, or size not known",
    },
    "price": {"": "any price", "free": "free", "paid": "paid"},
    "by": {"typical": "the typical run", "best": "the best run"},
}


@dataclass(frozen=True)
class CellText:
    """One model on one task; `won` where its rank is the first."""

    value: str
    low: str
    high: str
    rank: str
    note: str
    href: str
    won: bool


@dataclass(frozen=True)
class ModelLine:
    """One model with the tasks that are shown; None where it has no run."""

    model: LabModel
    size: str
    rank: str
    ranked_on: str
    seconds: str
    cost: str
    cells: tuple[CellText | None, ...]


@dataclass(frozen=True)
class TaskLine:
    """One task: who wins, and by how much over the best baseline."""

    task: LabTask
    name: str
    metric: str
    models: str
    winner: str
    winner_href: str
    value: str
    low: str
    high: str
    baseline: str
    ahead: str
    verdict: str
    compare: str


@dataclass(frozen=True)
class LabPage:
    """Everything templates/comparisons/lab.html shows."""

    lede: str
    few: str
    chosen: LabFilter
    fields: tuple[tuple[str, str, list[tuple[str, str]], str], ...]
    heads: tuple[TaskLine, ...]
    tasks: tuple[TaskLine, ...]
    models: tuple[ModelLine, ...]
    shown: str
    earlier: str
    later: str
    csv: str


def lab_page(view: LabLeaderboard, first_task: int = 0, first_model: int = 0) -> LabPage:
    """Lays the leaderboard out; of many tasks and models those from the given places on."""
    tasks = view.tasks[first_task : first_task + TASKS_SHOWN]
    models = view.models[first_model : first_model + MODELS_SHOWN]
    lines = tuple(_task_line(task) for task in view.tasks)
    earlier, later = _pages(view, first_task, first_model)
    contested = sum(task.winner is not None for task in view.tasks)
    few = ""
    if 0 < contested < FEW_TASKS:
        few = (
            f"Average ranks rest on {plural(contested, 'task')} with more than one model: too few to say that "
            "one model is better in general. Read them as a summary of what was run here."
        )
    return LabPage(
        lede=f"{plural(len(view.models), 'model')} on {plural(len(view.tasks), 'task')}, ranked by {NAMES['by'][view.chosen.by]}.",
        few=few,
        chosen=view.chosen,
        fields=_fields(view.chosen),
        heads=lines[first_task : first_task + TASKS_SHOWN],
        tasks=lines,
        models=tuple(_model_line(model, tasks) for model in models),
        shown=_shown(view, first_task, len(tasks), first_model, len(models)),
        earlier=earlier,
        later=later,
        csv="/compare/lab.csv?" + urlencode(_set(view.chosen)),
    )


def _fields(chosen: LabFilter) -> tuple[tuple[str, str, list[tuple[str, str]], str], ...]:
    labels = {"task": "Task type", "group": "Group", "size": "Size", "price": "Price", "by": "Rank by"}
    return tuple(
        (name, label, list(NAMES[name].items()), getattr(chosen, name)) for name, label in labels.items()
    )


def _set(chosen: LabFilter) -> dict[str, Any]:
    return {name: value for name, value in asdict(chosen).items() if value}


def _pages(view: LabLeaderboard, first_task: int, first_model: int) -> tuple[str, str]:
    """Addresses of what stands before and after: first the other tasks, then the other models."""

    def href(task: int, model: int) -> str:
        places = {"first_task": task, "first_model": model}
        return "/compare/lab?" + urlencode({**_set(view.chosen), **{k: n for k, n in places.items() if n}})

    earlier = later = ""
    if first_task + TASKS_SHOWN < len(view.tasks):
        later = href(first_task + TASKS_SHOWN, first_model)
    elif first_model + MODELS_SHOWN < len(view.models):
        later = href(0, first_model + MODELS_SHOWN)
    if first_task > 0:
        earlier = href(max(0, first_task - TASKS_SHOWN), first_model)
    elif first_model > 0:
        earlier = href(0, max(0, first_model - MODELS_SHOWN))
    return earlier, later


def _shown(view: LabLeaderboard, task: int, tasks: int, model: int, models: int) -> str:
    if tasks == len(view.tasks) and models == len(view.models):
        return ""
    return (
        f"tasks {task + 1} to {task + tasks} of {len(view.tasks)}, "
        f"models {model + 1} to {model + models} of {len(view.models)}"
    )


def _model_line(model: LabModel, tasks: tuple[LabTask, ...]) -> ModelLine:
    return ModelLine(
        model=model,
        size=short_count(model.parameters).replace("G", "B") if model.parameters else "",
        rank=rank_text(model.average_rank, 2),
        ranked_on=f"over {plural(model.ranked_on, 'task')}" if model.ranked_on else "",
        seconds=duration(model.seconds),
        cost=money(model.microdollars),
        cells=tuple(_cell(model.entries.get(task.place.split_id), task) for task in tasks),
    )


def _cell(entry: Entry | None, task: LabTask) -> CellText | None:
    if entry is None:
        return None
    if entry.cell is None or entry.shown is None:
        return CellText("", "", "", "", f"{plural(entry.failed, 'run')} failed", "", False)
    form, run = task.metric.format, entry.shown
    notes = []
    if entry.cell.runs > 1:
        notes += [plural(entry.cell.runs, "run"), f"best {written(entry.cell.best.value, form)}"]
    if entry.failed:
        notes.append(f"{entry.failed} failed")
    if entry.rank is None:
        notes.append(f"{entry.cell.items:,} of {task.items:,} items, not ranked")
    return CellText(
        written(run.value, form),
        written(run.low, form) if run.low is not None else "",
        written(run.high, form) if run.high is not None else "",
        f"{rank_text(entry.rank)} of {entry.of}" if entry.rank is not None else "",
        ", ".join(notes),
        f"/runs/{run.run_id}",
        entry.rank == 1 and entry.of > 1,
    )


def _task_line(task: LabTask) -> TaskLine:
    first = next((entry for entry in task.entries if entry.rank is not None), None)
    run, base = first.shown if first else None, task.baseline
    form, unit = task.metric.format, "%" if task.metric.format == "percent" else ""
    return TaskLine(
        task=task,
        name=f"{task.place.dataset}, split {task.place.split}",
        metric=task.metric.label + (f", {unit}" if unit else ""),
        models=plural(len(task.entries), "model"),
        winner=model_label(first.model) if first else "none scored",
        winner_href=f"/runs/{run.run_id}" if run else "",
        value=written(run.value, form) if run else DASH,
        low=written(run.low, form) if run and run.low is not None else "",
        high=written(run.high, form) if run and run.high is not None else "",
        baseline=f"{model_label(base.model)}, {written(base.shown.value, form)}"
        if base and base.shown
        else "none run",
        ahead=ahead_text(first.over, task.metric) if first else DASH,
        verdict=_verdict(first, base, task.metric),
        compare=_pair(first, base),
    )


def _pair(first: Entry | None, base: Entry | None) -> str:
    if not first or not base or not first.shown or not base.shown or first.model == base.model:
        return ""
    a, b = first.shown.run_id, base.shown.run_id
    return f"/compare?runs={a},{b}&a={a}&b={b}"


def _verdict(first: Entry | None, base: Entry | None, metric: Metric) -> str:
    """What the two intervals allow to say; the paired test of the compare page says more."""
    if first is None or not first.shown:
        return ""
    if base is None or not base.shown:
        return "no baseline was run"
    if first.model == base.model:
        return "the best is a baseline"
    if first.over is not None and first.over <= 0:
        return "not ahead of the baseline"
    better, worse = (base.shown, first.shown) if metric.direction == "lower" else (first.shown, base.shown)
    if better.low is None or worse.high is None:
        return "no interval"
    return "intervals apart" if better.low > worse.high else "intervals overlap: test the pair"


def ahead_text(over: float | None, metric: Metric) -> str:
    """How far ahead of the best baseline: "+4.1 points" of a rate, "+0.12" of a number; better is positive."""
    if over is None:
        return DASH
    sign = "+" if over > 0 else "−" if over < 0 else ""
    if metric.format == "percent":
        return f"{sign}{written(abs(over), 'percent')} points"
    return f"{sign}{number(abs(over))}"


def rank_text(rank: float | None, digits: int = 1) -> str:
    """1.0 -> "1", 1.5 -> "1.5"."""
    return DASH if rank is None else f"{rank:.{digits}f}".rstrip("0").rstrip(".")
