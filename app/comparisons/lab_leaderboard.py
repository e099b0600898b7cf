"""The lab leaderboard: models × tasks (a split of a dataset each), ranked within each task. For its page, CSV, API."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from sqlmodel import Session

from app.catalog.models import model_group, model_label
from app.comparisons.lab_cells import Cell, Place, RunScore, read_cells, read_failures, read_places
from app.errors import Invalid
from app.evaluations.leaderboard import PRIMARY
from app.evaluations.looks import note_look
from app.lab.actor import Actor
from app.metrics import Metric, for_task

BASELINE = "baseline/"
TASKS = ("classification", "number", "list", "json", "text")
GROUPS = ("Baselines", "Local", "Imported")
# Parameters from (included) to (not included).
SIZES: dict[str, tuple[float, float]] = {
    "under-1b": (1, 1e9),
    "1b-10b": (1e9, 1e10),
    "over-10b": (1e10, float("inf")),
    "unknown": (0, 1),
}
PRICES = ("free", "paid")
MEASURES = ("typical", "best")


@dataclass(frozen=True)
class LabFilter:
    """What is shown; "" is everything. `by` is the run that counts: the typical or the best one."""

    task: str = ""
    group: str = ""
    size: str = ""
    price: str = ""
    by: str = "typical"

    def __post_init__(self) -> None:
        allowed = {"task": TASKS, "group": GROUPS, "size": tuple(SIZES), "price": PRICES, "by": MEASURES}
        for name, choices in allowed.items():
            value = getattr(self, name)
            if value not in choices and (value or name == "by"):
                raise Invalid(
                    f"The leaderboard has no {name} {value!r}.",
                    f"Choose one of {', '.join(choices)}.",
                    {name: "not one of the choices"},
                )


@dataclass(frozen=True)
class Entry:
    """One model on one task. `rank` is 1 for the best of `of` models, ties share their mean; None where it is not
    ranked: it answered fewer items than others, or every run failed. `over` is how far it is ahead of the best
    baseline (negative: behind)."""

    model: str
    split_id: int
    cell: Cell | None
    shown: RunScore | None
    failed: int
    rank: float | None = None
    of: int = 0
    over: float | None = None


@dataclass(frozen=True)
class LabTask:
    """One task with its entries, best first; `baseline` is the best one, also where the filter hides it."""

    place: Place
    metric: Metric
    items: int
    entries: tuple[Entry, ...]
    baseline: Entry | None

    @property
    def winner(self) -> Entry | None:
        """The best ranked entry, if there is another to be better than."""
        first = self.entries[0] if self.entries else None
        return first if first and first.rank is not None and first.of > 1 else None


@dataclass(frozen=True)
class LabModel:
    """One model over all tasks. `average_rank` is over the tasks where at least two models are ranked, `ranked_on`
    many; `wins` counts shared first places too. Seconds: median over its tasks."""

    model: str
    label: str
    group: str
    parameters: int | None
    entries: dict[int, Entry]
    average_rank: float | None
    ranked_on: int
    wins: int
    microdollars: int
    seconds: float | None


@dataclass(frozen=True)
class LabLeaderboard:
    """Everything: tasks in the order of their making, models by average rank."""

    chosen: LabFilter
    tasks: tuple[LabTask, ...]
    models: tuple[LabModel, ...]


def lab_leaderboard(session: Session, actor: Actor, chosen: LabFilter) -> LabLeaderboard:
    """All models on all tasks of the project, as the filter says."""
    cells, failures = read_cells(session, actor), read_failures(session, actor)
    places = read_places(session, actor)
    entries = _entries(cells, failures, chosen.by)
    wanted = _wanted(entries, chosen)
    by_split: dict[int, list[Entry]] = {}
    for entry in entries:
        by_split.setdefault(entry.split_id, []).append(entry)
    made = (
        _task(place, by_split.get(place.split_id, []), wanted)
        for place in places.values()
        if not chosen.task or place.task == chosen.task
    )
    tasks = tuple(task for task in made if task.entries)
    cells_shown = (entry.cell for task in tasks for entry in task.entries if entry.cell)
    note_look(session, {run.experiment_id for cell in cells_shown for run in (cell.best, cell.typical)})
    return LabLeaderboard(chosen, tasks, tuple(sorted(_models(tasks), key=_order)))


def _entries(cells: Sequence[Cell], failures: dict[tuple[str, int], int], by: str) -> list[Entry]:
    """One for each model and split: of cells over different numbers of items the one over most."""
    largest: dict[tuple[str, int], Cell] = {}
    for cell in cells:
        key = (cell.model, cell.split_id)
        if key not in largest or cell.items > largest[key].items:
            largest[key] = cell
    found = [
        Entry(*key, cell, cell.best if by == "best" else cell.typical, failures.get(key, 0))
        for key, cell in largest.items()
    ]
    return found + [Entry(*key, None, None, n) for key, n in failures.items() if key not in largest]


def _wanted(entries: Iterable[Entry], chosen: LabFilter) -> Callable[[Entry], bool]:
    sizes: dict[str, int] = {}
    for entry in entries:
        if entry.shown and entry.shown.parameters:
            sizes[entry.model] = entry.shown.parameters
    low, high = SIZES.get(chosen.size, (0, float("inf")))

    def wanted(entry: Entry) -> bool:
        paid = entry.shown is not None and entry.shown.microdollars > 0
        return (
            (not chosen.group or model_group(entry.model) == chosen.group)
            and (not chosen.price or paid == (chosen.price == "paid"))
            and low <= sizes.get(entry.model, 0) < high
        )

    return wanted


def _task(place: Place, own: list[Entry], wanted: Callable[[Entry], bool]) -> LabTask:
    metric = next(m for m in for_task(place.task) if m.name == PRIMARY.get(place.task, "exact_match"))
    sign = -1 if metric.direction == "lower" else 1
    items = max((entry.cell.items for entry in own if entry.cell), default=0)
    full = {entry.model: entry for entry in own if entry.cell and entry.cell.items == items}

    def goodness(entry: Entry) -> float:
        return sign * entry.shown.value if entry.shown else float("-inf")

    baselines = [entry for entry in full.values() if entry.model.startswith(BASELINE)]
    baseline = max(baselines, key=goodness, default=None)
    shown = [entry for entry in own if wanted(entry)]
    values = sorted((goodness(entry) for entry in shown if entry.model in full), reverse=True)
    placed = []
    for entry in shown:
        if entry.model in full:
            first = values.index(goodness(entry)) + 1
            over = (
                goodness(entry) - goodness(baseline) if baseline and baseline.model != entry.model else None
            )
            ties = values.count(goodness(entry))
            entry = replace(entry, rank=first + (ties - 1) / 2, of=len(values), over=over)
        placed.append(entry)
    placed.sort(key=lambda entry: (entry.rank is None, entry.rank or 0, -goodness(entry), entry.model))
    return LabTask(place, metric, items, tuple(placed), baseline)


def _models(tasks: Sequence[LabTask]) -> list[LabModel]:
    entries: dict[str, dict[int, Entry]] = {}
    wins: dict[str, int] = {}
    for task in tasks:
        for entry in task.entries:
            entries.setdefault(entry.model, {})[task.place.split_id] = entry
            if task.winner and entry.rank == task.winner.rank:
                wins[entry.model] = wins.get(entry.model, 0) + 1
    return [_model(name, own, wins.get(name, 0)) for name, own in entries.items()]


def _model(name: str, entries: dict[int, Entry], wins: int) -> LabModel:
    ranks = [entry.rank for entry in entries.values() if entry.rank is not None and entry.of > 1]
    shown = [entry.shown for entry in entries.values() if entry.shown]
    seconds = [run.seconds for run in shown if run.seconds is not None]
    return LabModel(
        model=name,
        label=model_label(name),
        group=model_group(name),
        parameters=next((run.parameters for run in shown if run.parameters), None),
        entries=entries,
        average_rank=sum(ranks) / len(ranks) if ranks else None,
        ranked_on=len(ranks),
        wins=wins,
        microdollars=sum(entry.cell.microdollars for entry in entries.values() if entry.cell),
        seconds=median(seconds) if seconds else None,
    )


def _order(model: LabModel) -> tuple[bool, float, int, str]:
    return model.average_rank is None, model.average_rank or 0, -model.ranked_on, model.model
