"""Finds the item that each imported prediction belongs to: by item id, line, input, or (proved) order. Pure."""

from collections.abc import Sequence

from app.datasets.stored import StoredItem
from app.errors import Invalid
from app.experiments.import_file import ImportedRow


def match_rows(rows: Sequence[ImportedRow], items: Sequence[StoredItem]) -> tuple[list[StoredItem], str]:
    """The item of every row, and a sentence that says how it was found.

    The first way that names every row's item wins. Order is used only when nothing else is there, the count
    matches and every expected answer agrees. Raises Invalid when no way works, or an item comes twice.
    """
    if all(row.item for row in rows):
        by_id = {item.item_id: item for item in items}
        return _by(rows, [by_id.get(row.item or "") for row in rows], items, "item id")
    if all(row.line is not None for row in rows):
        by_line = {item.line: item for item in items}
        return _by(rows, [by_line.get(row.line or 0) for row in rows], items, "line of the data file")
    if all(row.input for row in rows):
        return _by(rows, _inputs(rows, items), items, "input text")
    return _order(rows, items)


def _by(
    rows: Sequence[ImportedRow], found: Sequence[StoredItem | None], items: Sequence[StoredItem], how: str
) -> tuple[list[StoredItem], str]:
    strangers = [row for row, item in zip(rows, found, strict=True) if item is None]
    if strangers:
        raise Invalid(
            f"{len(strangers)} of {len(rows)} rows belong to no test item by their {how}; "
            f"the first is {strangers[0].where}.",
            "Leave out rows of other parts, or give the columns of a predictions CSV of this experiment.",
        )
    matched = [item for item in found if item is not None]
    seen: dict[int, str] = {}
    for row, item in zip(rows, matched, strict=True):
        if item.number in seen:
            raise Invalid(
                f"{row.where} and {seen[item.number]} are both predictions of item {item.item_id}.",
                "Keep one prediction per item.",
            )
        seen[item.number] = row.where
    return matched, f"{len(rows):,} of {len(items):,} test items, matched by {how}"


def _inputs(rows: Sequence[ImportedRow], items: Sequence[StoredItem]) -> list[StoredItem | None]:
    """The same input may stand in several items: they are given out in the order of the file."""
    waiting: dict[str, list[StoredItem]] = {}
    for item in items:
        waiting.setdefault(_normal(item.input), []).append(item)
    found = []
    for row in rows:
        queue = waiting.get(_normal(row.input or ""), [])
        found.append(queue.pop(0) if queue else None)
    return found


def _order(rows: Sequence[ImportedRow], items: Sequence[StoredItem]) -> tuple[list[StoredItem], str]:
    if len(rows) != len(items):
        raise Invalid(
            f"The file has {len(rows)} rows without item, line or input, but there are {len(items)} test items.",
            "Add a column `item`, `line` or `input`, or give exactly one row per test item in the file's order.",
        )
    for row, item in zip(rows, items, strict=True):
        if row.expected is None or row.expected.strip() != item.answer.strip():
            said = "no expected answer" if row.expected is None else f"the expected answer {row.expected!r}"
            raise Invalid(
                f"Rows cannot be matched by their order: {row.where} has {said}, the item there has {item.answer!r}.",
                "Add a column `item`, `line` or `input`, or a column `expected` that agrees everywhere.",
            )
    return list(items), f"{len(rows):,} test items, matched by order (every expected answer agrees)"


def _normal(text: str) -> str:
    return " ".join(text.split())
