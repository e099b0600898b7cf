"""The compare page as it is drawn: links of the filters, words of the pair panel, bars of the items."""

from dataclasses import dataclass
from urllib.parse import urlencode

from app.comparisons.queries import FILTERS, Answer, ComparedItem, Comparison, Pair
from app.comparisons.sentence import p_text, points
from app.evaluations.columns import LeaderboardTable, leaderboard_table
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.run_page import probability_bar
from app.format import count, percent, plural
from app.shapes import Segment


@dataclass(frozen=True)
class FlipCell:
    """One of the 2×2 counts, which is also a filter."""

    count: str
    href: str
    current: bool

    def __getitem__(self, index: int) -> object:
        return (self.count, self.href, self.current)[index]


@dataclass(frozen=True)
class AnswerCell:
    """One run's answer for one item."""

    text: str
    correct: bool | None
    bar: tuple[Segment, ...]
    said: str


@dataclass(frozen=True)
class ItemRow:
    """One item with its answers."""

    line: int
    item_id: str
    input: str
    expected: str
    group: str | None
    cells: tuple[AnswerCell, ...]


@dataclass(frozen=True)
class ComparisonPage:
    """Everything templates/comparisons/page.html shows."""

    title: str
    lede: str
    table: LeaderboardTable
    runs: list[LeaderboardRow]
    pair: Pair | None
    flips: dict[str, FlipCell]
    numbers: list[tuple[str, str]]
    filters: list[tuple[str, str, bool, str | None]]
    rows: list[ItemRow]
    shown: str
    next: str
    first: str
    csv: str
    experiment_id: int


def comparison_page(view: Comparison, after: int) -> ComparisonPage:
    """Lays a comparison out."""
    run_ids = ",".join(str(row.run_id) for row in view.rows)

    def href(show: str, after: int | None = None) -> str:
        pairs: dict[str, object] = {"runs": run_ids}
        if view.pair:
            pairs |= {"a": view.pair.a.run_id, "b": view.pair.b.run_id}
        pairs["show"] = show
        if after is not None:
            pairs["after"] = after
        return "/compare?" + urlencode(pairs, safe=",") + "#items"

    table = leaderboard_table(view.rows, view.dataset.task)
    counts = {row.items for row in view.rows}
    lede = f"{table.caption}."
    if counts != {view.shared}:
        lede += f" The runs share {view.shared:,} items; pairs are compared on the items that both answered."
    return ComparisonPage(
        title=f"{plural(len(view.rows), 'run')}, {view.shared:,} shared test items",
        lede=lede,
        table=table,
        runs=view.rows,
        pair=view.pair,
        flips=_flips(view, href),
        numbers=_numbers(view.pair),
        filters=[
            (label, href(name), name == view.show, None)
            for name, label in FILTERS.items()
            if name in ("all", "disagree", "all_wrong") or view.pair
        ],
        rows=[_item(row) for row in view.items],
        shown=f"{view.matching:,} of {view.shared:,} items",
        next=href(view.show, view.next_after) if view.next_after is not None else "",
        first=href(view.show) if after >= 0 else "",
        csv=f"/compare.csv?runs={run_ids}",
        experiment_id=view.rows[0].experiment_id,
    )


def _flips(view: Comparison, href) -> dict[str, FlipCell]:  # type: ignore[no-untyped-def]
    if view.pair is None:
        return {}
    return {
        name: FlipCell(count(getattr(view.pair, name)), href(name), view.show == name)
        for name in ("both", "only_a", "only_b", "neither")
    }


def _numbers(pair: Pair | None) -> list[tuple[str, str]]:
    if pair is None or not pair.items:
        return []
    return [
        (
            "Difference, points",
            f"{points(pair.difference)} ({points(pair.low)} to {points(pair.high)})",
        ),
        ("Exact McNemar test", p_text(pair.p)),
        ("Items that both answered", count(pair.items)),
        ("Smallest difference this set shows, points", f"about {percent(pair.smallest, 0)}"),
    ]


def _item(row: ComparedItem) -> ItemRow:
    item = row.item
    return ItemRow(
        item.line,
        item.item_id,
        item.input,
        item.answer,
        item.group,
        tuple(_cell(answer, item.answer) for answer in row.answers),
    )


def _cell(answer: Answer | None, expected: str) -> AnswerCell:
    if answer is None:
        return AnswerCell("not answered", None, (), "")
    bar, said = probability_bar(answer.probabilities, expected, answer.read)
    text = answer.read if answer.read is not None else answer.given or "no answer"
    return AnswerCell(text[:300], answer.correct, bar, said)
