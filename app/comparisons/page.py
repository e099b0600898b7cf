"""The compare page as it is drawn: the links of its filters, the words of the pair, the cells of the items."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from app.comparisons.against import AllAgainst
from app.comparisons.board import Board, board
from app.comparisons.choice import OF_A_PAIR, SHOWS, Choice
from app.comparisons.item_cells import ItemRow, item_row
from app.comparisons.pair import Pair
from app.comparisons.pair_tests import tests_address
from app.comparisons.queries import Comparison
from app.comparisons.sentence import p_text, points
from app.datasets.leaks import ceiling_of, ceiling_sentence
from app.evaluations.leaderboard import LeaderboardRow
from app.format import count, percent, plural

Links = list[tuple[str, str, bool, str | None]]
MOST_GROUPS = 300


@dataclass(frozen=True)
class FlipCell:
    """One of the 2×2 counts, which is also a filter."""

    count: str
    href: str
    current: bool

    def __getitem__(self, index: int) -> object:
        return (self.count, self.href, self.current)[index]


@dataclass(frozen=True)
class AgainstLine:
    """A model against the baseline as text, rates and differences in points."""

    run: LeaderboardRow
    name: str
    href: str
    rate: str
    difference: str
    low: str
    high: str
    p: str
    p_holm: str
    items: str
    verdict: str


@dataclass(frozen=True)
class ComparisonPage:
    """Everything templates/comparisons/page.html shows but the settings and the plots."""

    choice: Choice
    query: str
    # The choice as fields of a form; the runs are one of them.
    hidden: list[tuple[str, str]]
    title: str
    lede: str
    ceiling: str
    board: Board
    subsets: Links
    columns: list[LeaderboardRow]
    candidates: list[LeaderboardRow]
    pair: Pair | None
    flips: dict[str, FlipCell]
    numbers: list[tuple[str, str]]
    against: AllAgainst | None
    against_lines: list[AgainstLine]
    # Where the paired tests by every metric are, with all chosen seeds of either model.
    tests: str
    shows: Links
    labels: list[str]
    groups: list[str]
    has_leaks: bool
    rows: list[ItemRow]
    shown: str
    clear: str
    older: str
    newer: str
    csv: str
    paper: str
    share: str
    experiment_id: int


def comparison_page(view: Comparison) -> ComparisonPage:
    """Lays a comparison out."""
    choice, chosen = view.choice, view.chosen
    rows = chosen.rows
    kept = {
        run_id: address(choice, "leaderboard", without=(*choice.without, run_id)) for run_id in chosen.kept
    }
    made = board(rows, chosen.dataset.task, kept)
    leaks = chosen.split.facts.get("leaks") or {}
    return ComparisonPage(
        choice=choice,
        query=choice.query(),
        hidden=parse_qsl(choice.query()),
        title=f"{plural(len(chosen.picked), 'run')}, {plural(view.shared, 'shared test item')}",
        lede=_lede(view, made),
        # The ceiling is of all test items.
        ceiling=ceiling_sentence(ceiling_of(chosen.dataset, chosen.split)) if choice.subset == "all" else "",
        board=made,
        subsets=_subsets(choice, rows),
        columns=view.columns,
        candidates=chosen.rows,
        pair=view.pair,
        flips=_flips(view),
        numbers=_numbers(view.pair),
        against=view.against,
        against_lines=_against(view),
        tests=tests_address(view.pair, rows, choice.subset) if view.pair else "",
        shows=[
            (label, address(choice, "items", show=name), name == choice.show, None)
            for name, label in SHOWS.items()
            if view.pair or name not in OF_A_PAIR
        ],
        labels=chosen.dataset.labels,
        groups=chosen.split.groups[:MOST_GROUPS],
        has_leaks=bool(leaks.get("exact")),
        rows=[item_row(choice, chosen.dataset.task, row) for row in view.items],
        shown=f"{view.matching:,} of {view.shared:,} items",
        clear="/compare?"
        + Choice(choice.runs, choice.without, choice.a, choice.b, choice.subset).query()
        + "#items"
        if choice.narrows
        else "",
        older=address(choice, "items", after=view.below) if view.below >= 0 else "",
        newer=address(choice, "items", before=view.above) if view.above >= 0 else "",
        csv=f"/compare.csv?runs={','.join(map(str, choice.runs))}"
        + ("" if choice.subset == "all" else f"&subset={choice.subset}"),
        paper=f"/compare/paper?runs={','.join(map(str, choice.runs))}",
        share=f"/compare/shares?runs={','.join(map(str, choice.runs))}",
        experiment_id=rows[0].experiment_id,
    )


def address(choice: Choice, part: str, **changes: object) -> str:
    """The page with a changed choice, at one of its parts."""
    return f"/compare?{choice.query(**changes)}#{part}"


def _lede(view: Comparison, made: Board) -> str:
    lede = f"{made.table.caption}."
    if {row.items for row in view.columns} != {view.shared}:
        lede += f" The runs share {plural(view.shared, 'item')}; a pair is compared on the items that both answered."
    if view.choice.subset == "unseen":
        lede += " Everything below is on the items whose prompt does not stand in train."
    return lede


def _subsets(choice: Choice, rows: Sequence[LeaderboardRow]) -> Links:
    """The switch between all items and those not in train; empty where nothing leaks."""
    unseen = {row.unseen for row in rows if row.unseen is not None}
    if not unseen:
        return []
    items = max(row.items for row in rows)
    return [
        (f"all {items:,} items", address(choice, "leaderboard", subset="all"), choice.subset == "all", None),
        (
            f"{max(unseen):,} not seen in train",
            address(choice, "leaderboard", subset="unseen"),
            choice.subset == "unseen",
            None,
        ),
    ]


def _flips(view: Comparison) -> dict[str, FlipCell]:
    pair, choice = view.pair, view.choice
    if pair is None:
        return {}
    return {
        name: FlipCell(count(getattr(pair, name)), address(choice, "items", show=name), choice.show == name)
        for name in ("both", "only_a", "only_b", "neither")
    }


def _numbers(pair: Pair | None) -> list[tuple[str, str]]:
    if pair is None or not pair.items:
        return []
    return [
        ("Difference, points", f"{points(pair.difference)} ({points(pair.low)} to {points(pair.high)})"),
        (f"Exact test over {pair.groups:,} groups" if pair.groups else "Exact McNemar test", p_text(pair.p)),
        ("Items that both answered", count(pair.items)),
        ("Smallest difference this set shows, points", f"about {percent(pair.smallest, 0)}"),
    ]


def _against(view: Comparison) -> list[AgainstLine]:
    if view.against is None or view.pair is None:
        return []
    return [
        AgainstLine(
            line.runs[0],
            line.name,
            address(view.choice, "pair", a=line.runs[0].run_id, b=view.pair.b.run_id),
            percent(line.rate),
            points(line.difference),
            points(line.low),
            points(line.high),
            p_text(line.p).removeprefix("p = ").removeprefix("p "),
            p_text(line.p_holm).removeprefix("p = ").removeprefix("p "),
            f"{count(line.items)}, {line.groups:,} groups" if line.groups else count(line.items),
            line.verdict,
        )
        for line in view.against.lines
    ]
