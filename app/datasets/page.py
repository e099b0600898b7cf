"""The dataset pages as drawn: splits with their balance, labels, lengths, items in reading layout.

Pure but for list_page(); called by routes.py on what queries.py read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col

from app.datasets.items import PART_NAMES
from app.datasets.queries import PAGE, DatasetRow, DatasetView, ItemsPage, ShownItem, SplitView, list_datasets
from app.format import count, percent, plural
from app.lab.actor import Actor, owned
from app.shapes import Histogram, Segment, histogram, stacked
from app.tables import Split

# The first items that fit beside the facts: at least 2, at most 8, about this many characters in all.
PREVIEWED, PREVIEWED_CHARACTERS = (2, 8), 1500
FEW_BARS = 4
# Colours of the commonest labels; all others share the grey one.
COLOURS = ("m1", "m2", "m3", "m4", "m5", "m6", "m8")
OTHERS = "m7"
SHOWN_LABELS, SHOWN_VALUES = 30, 12
LONG_ROW = 4096
KINDS = {"file": "the file's own", "seeded": "drawn by seed", "grouped": "whole groups held out"}


@dataclass(frozen=True)
class ListRow:
    """One line of the list, with the items per part of its default split and the number of its splits."""

    dataset: DatasetRow
    counts: dict[str, int]
    splits: int


@dataclass(frozen=True)
class PartRow:
    """One part of a split: items, their share in per cent, and the balance of its labels."""

    name: str
    items: int
    share: str
    balance: tuple[Segment, ...]
    said: str


@dataclass(frozen=True)
class DrawnSplit:
    """One split; `leaks` are sentences with the first lines, `rejected` says how many items have a rejected answer,
    `parameters` how it was made."""

    split: SplitView
    kind: str
    parts: list[PartRow]
    leaks: list[str]
    rejected: str
    parameters: list[tuple[str, str]]


@dataclass(frozen=True)
class LabelRow:
    """One label with its items in each part of the default split, in the order of `Drawn.parts`, and in all."""

    label: str
    colour: str
    parts: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Turn:
    """One message as the model sees it; `kind` "answer" is what it should write, "rejected" what it should not."""

    role: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class ItemView:
    """One item in reading layout."""

    line: int
    item_id: str
    part: str
    group: str | None
    turns: list[Turn]
    tools: list[str]


@dataclass(frozen=True)
class Drawn:
    """What the page of one dataset draws, beside the DatasetView itself."""

    splits: list[DrawnSplit]
    parts: tuple[str, ...]
    labels: list[LabelRow]
    hidden_labels: int
    tokens: Histogram | None
    answers: Histogram | None
    first: list[ItemView]
    problems: list[Mapping[str, Any]]


def list_page(session: Session, actor: Actor, before: int | None) -> tuple[list[ListRow], int | None]:
    """(rows, the id to continue before or None at the end), by two queries."""
    rows = list_datasets(session, actor, before)
    query = owned(actor, Split).with_only_columns(Split.dataset_id, Split.counts)
    splits: dict[int, list[dict[str, int]]] = {}
    wanted = query.where(col(Split.dataset_id).in_([row.id for row in rows])).order_by(col(Split.id))
    for dataset_id, counts in session.execute(wanted):
        splits.setdefault(dataset_id, []).append(counts)
    shown = [
        ListRow(row, splits[row.id][0] if row.id in splits else {}, len(splits.get(row.id, ())))
        for row in rows
    ]
    return shown, rows[-1].id if len(rows) == PAGE else None


def draw(view: DatasetView) -> Drawn:
    """Lays one dataset out."""
    colours = label_colours(view.label_counts)
    used = _used_parts(view.split.counts) if view.split else PART_NAMES[:3]
    labels = _label_rows(view, used, colours)
    return Drawn(
        splits=[_drawn_split(split, colours) for split in view.splits],
        parts=used,
        labels=labels,
        hidden_labels=len(view.label_counts) - len(labels),
        tokens=_histogram(view.facts.get("token_histogram"), over=LONG_ROW),
        answers=_histogram(view.facts.get("answer_histogram")),
        first=_first_items(view.sample_items),
        problems=[{**row, "line": row["line"] or None} for row in view.problems],
    )


def _first_items(items: Sequence[ShownItem]) -> list[ItemView]:
    shown: list[ItemView] = []
    characters = 0
    for item in items[: PREVIEWED[1]]:
        if len(shown) >= PREVIEWED[0] and characters > PREVIEWED_CHARACTERS:
            break
        shown.append(item_view(item))
        characters += sum(len(turn.text) + 60 for turn in shown[-1].turns)
    return shown


def label_colours(counts: Mapping[str, int]) -> dict[str, str]:
    """{label: CSS class}: one colour each while there are enough, else the commonest ones and one for the rest."""
    if len(counts) <= len(COLOURS):
        return dict(zip(counts, COLOURS, strict=False))
    common = sorted(counts, key=lambda label: -counts[label])[: len(COLOURS)]
    return {label: COLOURS[common.index(label)] if label in common else OTHERS for label in counts}


def _used_parts(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(name for name in PART_NAMES if name != "unused" or counts.get(name))


def _drawn_split(split: SplitView, colours: Mapping[str, str]) -> DrawnSplit:
    total = sum(split.counts.values()) or 1
    parts = []
    for name in _used_parts(split.counts):
        items, labels = split.counts.get(name, 0), split.labels.get(name, {})
        shares = [(labels.get(label, 0) / items if items else 0, kind) for label, kind in colours.items()]
        # Labels of one colour stand together, so that the rest is one piece.
        shares.sort(key=lambda share: share[1] == OTHERS)
        said = ", ".join(
            f"{label} {percent(labels[label] / items, 0)} %" for label in list(labels)[:8] if items
        )
        bar = stacked(shares, gap=0.4) if labels else ()
        parts.append(PartRow(name, items, percent(items / total), bar, said))
    parameters = [(name.replace("_", " "), _written(value)) for name, value in split.parameters.items()]
    there = [f"{split.rejected[name]:,} {name}" for name in PART_NAMES if split.rejected.get(name)]
    return DrawnSplit(
        split,
        KINDS.get(split.kind, split.kind),
        parts,
        leak_sentences(split.leaks),
        f"Items with a rejected answer: {', '.join(there)}." if there else "",
        parameters,
    )


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value[:SHOWN_VALUES])) + (" ..." if len(value) > SHOWN_VALUES else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def leak_sentences(leaks: Mapping[str, Any]) -> list[str]:
    """What of one part is known from another, in sentences; empty when nothing is."""
    said = []
    for key, lines, how in (
        ("exact", "lines", "the same prompt as an item of another part"),
        ("near", "near_lines", "a prompt that differs from one in another part only by case or blanks"),
    ):
        if leaks.get(key):
            where = ", ".join(map(str, leaks.get(lines, [])))
            more = " ..." if leaks[key] > len(leaks.get(lines, [])) else ""
            verb = "has" if leaks[key] == 1 else "have"
            said.append(f"{plural(leaks[key], 'item')} {verb} {how} (lines {where}{more}).")
    return said


def _label_rows(view: DatasetView, parts: Sequence[str], colours: Mapping[str, str]) -> list[LabelRow]:
    counts, balance = view.label_counts, view.split.labels if view.split else {}
    shown = list(counts) if len(counts) <= SHOWN_LABELS else sorted(counts, key=lambda label: -counts[label])
    return [
        LabelRow(
            label, colours[label], tuple(balance.get(name, {}).get(label, 0) for name in parts), counts[label]
        )
        for label in shown[:SHOWN_LABELS]
    ]


def _histogram(made: Mapping[str, Sequence[int]] | None, over: int | None = None) -> Histogram | None:
    if not made or len(made["counts"]) < FEW_BARS:
        return None
    edges = made["edges"]
    past = next((index for index, edge in enumerate(edges) if over and edge >= over), None)
    return histogram(made["counts"], [count(edge) for edge in edges], over=past)


def item_view(shown: ShownItem) -> ItemView:
    """An item as its messages."""
    item = shown.item
    turns = [Turn(message["role"], _said(message)) for message in item.prompt]
    turns.append(Turn(item.answer_message["role"], item.answer, "answer"))
    if item.rejected_message:
        turns.append(Turn("rejected", _said(item.rejected_message), "rejected"))
    tools = [str(tool.get("function", tool).get("name", "")) for tool in item.tools or []]
    named = [name for name in tools if name]
    return ItemView(item.line, item.item_id, shown.part, item.group, turns, named)


def _said(message: Mapping[str, Any]) -> str:
    text = str(message.get("content") or "")
    calls = [
        f"{call['function']['name']}({call['function'].get('arguments', '')})"
        for call in message.get("tool_calls") or []
    ]
    return "\n".join(part for part in (text, *calls) if part)


@dataclass(frozen=True)
class ItemsPager:
    """The filter by part as (label, address, chosen, how many), and the ways on and back."""

    split: str
    parts: list[tuple[str, str, bool, str]]
    next: str
    first: str
    shown: str


def items_pager(page: ItemsPage, dataset_id: int, after: int) -> ItemsPager:
    """The links around a page of items."""
    counts = page.split.counts if page.split else {}
    base = f"/datasets/{dataset_id}/items?split={page.split.id if page.split else ''}"
    parts = [("all", base, not page.part, count(sum(counts.values())))]
    parts += [
        (name, f"{base}&part={name}", name == page.part, count(counts.get(name, 0)))
        for name in _used_parts(counts)
    ]
    here = f"{base}&part={page.part}" if page.part else base
    return ItemsPager(
        page.split.name if page.split else "",
        parts,
        f"{here}&after={page.next_after}" if page.next_after is not None else "",
        here if after >= 0 else "",
        f"{len(page.items)} of {count(page.total)}",
    )
