"""Predictions as they stand in the bundle, and answers read again by the answer rules. Standard library only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Item:
    """One test item of one run; `gold` and `read` are as read under the rules, `p` is aligned with the labels."""

    item: str
    group: str | None
    expected: str
    gold: str
    given: str | None
    read: str | None
    correct: bool
    p: list[float] | None
    in_train: bool
    mark: float | None = None


def load(path: Path, labels: list[str]) -> list[Item]:
    """The items of one predictions file, in its order."""
    with path.open(encoding="utf-8") as file:
        return [_item(json.loads(line), labels) for line in file]


def _item(row: dict[str, Any], labels: list[str]) -> Item:
    p: list[Any] = [row.get(f"p({label})") for label in labels]
    return Item(
        row["item"],
        row["group"],
        row["expected"],
        row["expected_read"],
        None if row["error"] else row["answer"],
        row["answer_read"],
        row["correct"],
        None if not p or None in p else [float(x) for x in p],
        row["in_train"],
        row.get("judge_mark"),
    )


def misread(items: list[Item], rules: dict[str, Any], task: str, labels: list[str]) -> list[str]:
    """Items whose answer reads otherwise by the rules, or is right or wrong otherwise, than is stored.

    How numbers, lists and JSON are found in a text is taken as stored; that they are right is judged again.
    """
    wrong = []
    for item in items:
        read = item.read
        if task in ("classification", "text"):
            read = None if item.given is None else _read(item.given, rules, task, labels)
        if read != item.read or judge(read, item.gold, rules, task) != item.correct:
            wrong.append(item.item)
    return wrong


def judge(read: str | None, gold: str, rules: dict[str, Any], task: str) -> bool:
    """Whether an answer is right; both are as read."""
    if read is None:
        return False
    if task == "number":
        return _close(read, gold, rules)
    if task == "list":
        return set(_elements(read)) == set(_elements(gold))
    return _plain(read, rules) == _plain(gold, rules)


def _read(text: str, rules: dict[str, Any], task: str, labels: list[str]) -> str | None:
    if rules["pattern"]:
        found = re.search(rules["pattern"], text.strip() if rules["strip"] else text)
        if found is None:
            return None
        text = next((group for group in found.groups() if group is not None), found.group())
    text = _plain(text, rules)
    meanings = {_plain(a, rules): _plain(b, rules) for a, b in rules["aliases"].items()}
    text = meanings.get(text, text)
    if task == "classification":
        forms = [_plain(label, rules) for label in labels]
        text = {f: x for f, x in zip(forms, labels, strict=True) if forms.count(f) == 1}.get(text, text)
    return text


def _plain(text: str, rules: dict[str, Any]) -> str:
    text = text.strip() if rules["strip"] else text
    return text.casefold() if rules["ignore_case"] else text


def _close(read: str, gold: str, rules: dict[str, Any]) -> bool:
    try:
        number, wanted = float(read), float(gold)
    except ValueError:
        return False
    allowed = max(rules["absolute_tolerance"], rules["relative_tolerance"] * abs(wanted)) + 1e-9 * abs(wanted)
    return abs(number - wanted) <= allowed


def _elements(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, list):
        return [one if isinstance(one, str) else json.dumps(one, sort_keys=True) for one in found]
    return text.split(", ") if text else []
