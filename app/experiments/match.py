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
    ways: list[tuple[str, list[StoredItem | None]]] = []
    if all(row.item for row in rows):
        by_id = {item.item_id: item for item in items}
        ways.append(("item id", [by_id.get(row.item or "") for row in rows]))
    if all(row.line is not None for row in rows):
        by_line = {item.line: item for item in items}
        ways.append(("line of the data file", [by_line.get(row.line or 0) for row in rows]))
    if all(row.input for row in rows):
        ways.append(("input text", _inputs(rows, items)))
    if not ways:
        return _order(rows, items)
    # A column `id` of another tool names none of our items: the next way may.
    how, found = next((way for way in ways if None not in way[1]), ways[0])
    matched = _complete(rows, found, how)
    if how == "line of the data file":
        _check_expected(rows, matched)
    return matched, f"{len(rows):,} of {len(items):,} test items, matched by {how}"


def _complete(rows: Sequence[ImportedRow], found: Sequence[StoredItem | None], how: str) -> list[StoredItem]:
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
    return matched


def _check_expected(rows: Sequence[ImportedRow], matched: Sequence[StoredItem]) -> None:
    """Lines of another version of the file name the wrong items; a column `expected` shows that."""
    for row, item in zip(rows, matched, strict=True):
        if row.expected is not None and not _agree(row.expected, item.answer):
            raise Invalid(
                f"Rows cannot be matched by their line: {row.where} expects {row.expected[:200]!r}, "
                f"but line {item.line} of the data file has {item.answer[:200]!r}.",
                "Count lines in the file that was uploaded here, from 1, or give a column `item` or `input`.",
            )


def _agree(one: str, other: str) -> bool:
    """The same expected answer, blanks apart; spreadsheets rewrite numbers."""
    if one.strip() == other.strip():
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _inputs(rows: Sequence[ImportedRow], items: Sequence[StoredItem]) -> list[StoredItem | None]:
    """The same input may stand in several items: rows take the first with their expected answer, or, where they
    name none, they are given out in the order of the file."""
    waiting: dict[str, list[StoredItem]] = {}
    for item in items:
        waiting.setdefault(_normal(item.input), []).append(item)
    return [_take(waiting.get(_normal(row.input or ""), []), row.expected) for row in rows]


def _take(waiting: list[StoredItem], expected: str | None) -> StoredItem | None:
    if not waiting:
        return None
    fitting = (i for i, item in enumerate(waiting) if expected is not None and _agree(expected, item.answer))
    return waiting.pop(next(fitting, 0))


def _order(rows: Sequence[ImportedRow], items: Sequence[StoredItem]) -> tuple[list[StoredItem], str]:
    if len(rows) != len(items):
        raise Invalid(
            f"The file has {len(rows)} rows without item, line or input, but there are {len(items)} test items.",
            "Add a column `item`, `line` or `input`, or give exactly one row per test item in the file's order.",
        )
    for row, item in zip(rows, items, strict=True):
        if row.expected is None or not _agree(row.expected, item.answer):
            said = "no expected answer" if row.expected is None else f"expected answer {row.expected[:200]!r}"
            raise Invalid(
                f"Rows cannot be matched by their order: {row.where} has {said}, "
                f"the item there has {item.answer[:200]!r}.",
                "Add a column `item`, `line` or `input`, or a column `expected` that agrees everywhere.",
            )
    return list(items), f"{len(rows):,} test items, matched by order (every expected answer agrees)"


def _normal(text: str) -> str:
    return " ".join(text.split())
