"""The tokens of the rows that a service is sent: what is reserved must cover these, not the data set's average row.
Called by hosted_prepare.py.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.datasets.tokens import PER_MESSAGE, estimate_tokens

# Of long files this many rows are measured, evenly over the file, and the others in proportion to their characters.
MEASURED = 5_000


def count_tokens(rows: Iterable[Mapping[str, Any]], expected: int, pairs: bool) -> int:
    """About how many tokens `expected` rows {"messages", "tools", "rejected"} have; `pairs`: for preference training,
    which reads each prompt with both of its answers and skips rows without a second one."""
    step = max(1, expected // MEASURED)
    characters = within = measured = marks = 0
    for number, row in enumerate(rows):
        if pairs and not row.get("rejected"):
            continue
        texts = list(_texts(row, pairs))
        size = sum(map(len, texts))
        characters, marks = characters + size, marks + PER_MESSAGE * len(texts)
        if number % step == 0 or not within:
            within, measured = within + size, measured + sum(map(estimate_tokens, texts))
    return math.ceil(characters * measured / max(within, 1)) + marks


def _texts(row: Mapping[str, Any], pairs: bool) -> Iterator[str]:
    turns = row["messages"]
    if pairs:
        turns = [*turns, *turns[:-1], row["rejected"]]
    for turn in turns:
        calls = turn.get("tool_calls")
        yield str(turn.get("content") or "") + (json.dumps(calls, ensure_ascii=False) if calls else "")
    if row.get("tools"):
        yield json.dumps(row["tools"], ensure_ascii=False)
