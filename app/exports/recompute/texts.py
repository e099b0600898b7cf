"""Parts of the metrics of texts and JSON, item by item. Standard library only."""

import json
from collections import Counter
from typing import Any, NoReturn

LONGEST = 6


def ngram_counts(answer: str, expected: str) -> list[int]:
    """For n = 1 to 6: how many character n-grams the answer has, the expected text has, and both share."""
    answer, expected = "".join(answer.split()), "".join(expected.split())
    row = []
    for n in range(1, LONGEST + 1):
        said, wanted = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (answer, expected))
        row += [said.total(), wanted.total(), (said & wanted).total()]
    return row


def chrf(rows: list[list[int]]) -> float | None:
    """chrF2 of counts summed over items: Popović M (2015), WMT 15:392-395."""
    sums = [sum(column) for column in zip(*rows, strict=True)]
    if not any(sums):
        return None
    orders = [o for o in zip(sums[0::3], sums[1::3], sums[2::3], strict=True) if o[0] and o[1]]
    count = max(len(orders), 1)
    precision = sum(shared / said for said, _, shared in orders) / count
    recall = sum(shared / wanted for _, wanted, shared in orders) / count
    weighted = 4 * precision + recall
    return 5 * precision * recall / weighted if weighted else 0.0


def decode(text: str) -> tuple[bool, Any]:
    """(True, value) of strict JSON; (False, None) when it is none."""
    try:
        return True, json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def field_share(gold: str, answer: str | None) -> float:
    """The share of the expected values that stand in the answer under the same keys."""
    wanted, said = _fields(gold), {} if answer is None else _fields(answer)
    return sum(path in said and said[path] == leaf for path, leaf in wanted.items()) / len(wanted)


def _fields(text: str) -> dict[tuple[str, ...], Any]:
    valid, value = decode(text)
    if not valid:
        return {(): ("no JSON", text)}
    found: dict[tuple[str, ...], Any] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict | list) and value:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            todo += [((*path, str(name)), child) for name, child in pairs]
        else:
            found[path] = (isinstance(value, bool), value)
    return found
