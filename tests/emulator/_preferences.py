"""The rules of OpenAI's preference format, which Together and Fireworks take over: what is wrong with a row of a training
file, and with a file for the method that is asked for."""

import json
from collections.abc import Mapping
from typing import Any

KEYS = {"input", "preferred_output", "non_preferred_output"}
INPUT_KEYS = {"messages", "tools", "parallel_tool_calls"}


def is_pair(row: Mapping[str, Any]) -> bool:
    """Whether the row is one of preferences."""
    return bool(KEYS & set(row))


def flaw_of_pair(row: Mapping[str, Any]) -> str:
    """What is wrong with a preference row; "" for a good one."""
    if set(row) != KEYS:
        return f"a preference row has {sorted(KEYS)}, found {sorted(row)}"
    given = row["input"]
    if not isinstance(given, dict) or not given.get("messages") or set(given) - INPUT_KEYS:
        return "input must hold messages"
    if given["messages"][-1].get("role") == "assistant":
        return "input.messages must not end with an answer"
    for side in ("preferred_output", "non_preferred_output"):
        answers = row[side]
        if not isinstance(answers, list) or len(answers) != 1 or answers[0].get("role") != "assistant":
            return f"{side} must hold exactly one assistant message"
        if not answers[0].get("content") and not answers[0].get("tool_calls"):
            return f"{side} has no content"
    return ""


def flaw_for_method(content: bytes, dpo: bool) -> str:
    """What is wrong with a whole file for supervised training or DPO; "" for a good one."""
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        row = json.loads(line) if line.strip() else None
        if row is None:
            continue
        if is_pair(row) != dpo:
            wanted = "preference" if dpo else "supervised"
            return f"Line {number}: the method needs {wanted} rows, found {sorted(row)}"
        flaw = flaw_of_pair(row) if dpo else ""
        if flaw:
            return f"Line {number}: {flaw}"
    return ""
