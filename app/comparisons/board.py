"""The comparison's leaderboard as it is drawn: one line a run, seeds of one model below their mean. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.comparisons.sides import model_of
from app.evaluations.columns import LeaderboardTable, TableRow, leaderboard_table, written
from app.evaluations.leaderboard import LeaderboardRow
from app.format import DASH, plural, short_count
from app.shapes import Axis, marker_shape
from app.statistics.replicates import spread_of


@dataclass(frozen=True)
class Place:
    """A seed's score on the axis."""

    x: float
    shape: str


@dataclass(frozen=True)
class Line:
    """One line: a run (`row`), or several seeds of one model (`places`, and no interval: that would be of items,
    while seeds spread by chance of training). `level` 1: a seed below its model's line."""

    level: int
    label: str
    note: str
    colour: int
    href: str
    value: str
    row: TableRow | None
    places: tuple[Place, ...]
    said: str
    others: tuple[str, ...]
    latency: str
    tokens: str
    seconds: float | None
    microdollars: int | None
    remove: str


@dataclass(frozen=True)
class Board:
    """The whole table."""

    table: LeaderboardTable
    lines: tuple[Line, ...]


def board(rows: Sequence[LeaderboardRow], task: str, kept: dict[int, str]) -> Board:
    """Lays the runs out, best first; `kept` are the baselines nobody chose, with the address without them."""
    table = leaderboard_table(rows, task)
    groups: dict[tuple[object, ...], list[TableRow]] = {}
    for row in table.rows:
        groups.setdefault(model_of(row.run), []).append(row)
    lines: list[Line] = []
    for members in sorted(groups.values(), key=lambda rows: _rank(rows, table.direction)):
        several = len(members) > 1
        if several:
            lines.append(_group_line(members, table))
        lines += [_run_line(row, several, kept.get(row.run.run_id, "")) for row in members]
    return Board(table, tuple(lines))


def _values(members: Sequence[TableRow]) -> list[float]:
    return [row.run.primary.value for row in members if row.run.primary and row.run.primary.value is not None]


def _rank(members: Sequence[TableRow], direction: str) -> tuple[int, float]:
    values = _values(members)
    if not values:
        return (1, 0.0)
    mean = sum(values) / len(values)
    return (0, -mean if direction == "higher" else mean)


def _run_line(row: TableRow, nested: bool, remove: str) -> Line:
    run = row.run
    seed = "" if run.seed is None else f"seed {run.seed}"
    note = ", ".join(part for part in (run.note, "kept as baseline" if remove else "") if part)
    return Line(
        level=int(nested),
        label=seed or run.label if nested else run.label,
        note="" if nested else note,
        colour=run.colour,
        href=f"/runs/{run.run_id}",
        value=row.value,
        row=row,
        places=(),
        said="",
        others=row.others,
        latency=milliseconds(run.latency_ms),
        tokens=DASH if run.tokens is None else short_count(run.tokens),
        seconds=run.seconds,
        microdollars=run.microdollars,
        remove=remove,
    )


def _group_line(members: Sequence[TableRow], table: LeaderboardTable) -> Line:
    run, values = members[0].run, _values(members)
    form = run.primary.format if run.primary else "number"
    shown, spans, seeds = DASH, "", plural(len(members), "seed")
    if values:
        spread = spread_of(values)
        shown = written(spread.mean, form)
        spans = f"{seeds}, {written(spread.least, form)} to {written(spread.most, form)}"
    named = ", ".join(part for part in (run.label, run.variant) if part)
    return Line(
        level=0,
        label=run.label,
        # The range is drawn too; a name that is long already leaves no room for its numbers.
        note=f"{run.variant}, {seeds}" if run.variant else spans or seeds,
        colour=run.colour,
        href="",
        value=shown,
        row=None,
        places=_places(table.axis, values, run.colour),
        said=f"{named}: mean {shown}, {spans or seeds}",
        others=tuple(DASH for _ in table.heads),
        latency="",
        tokens="",
        seconds=None,
        microdollars=None,
        remove="",
    )


def _places(axis: Axis | None, values: Sequence[float], colour: int) -> tuple[Place, ...]:
    return () if axis is None else tuple(Place(axis.x(value), marker_shape(colour)) for value in values)


def milliseconds(value: float | None) -> str:
    """0.4213 -> "0.42 ms", 1520 -> "1.5 s"."""
    if value is None:
        return DASH
    if value < 0.01:
        return "< 0.01 ms"
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.2g} ms" if value < 100 else f"{value:.0f} ms"
