"""Tells the task from the answers: classification, number, list, JSON or free text. Pure; used by the check
and when a person corrects the task."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

TASKS = {
    "classification": "Classification: a closed set of short answers",
    "number": "Number",
    "list": "List or set",
    "json": "JSON",
    "text": "Free text",
}
MOST_LABELS = 200
FEW_NUMBERS = 10
COUNTED_LABELS = 2_000
SAMPLED = 5_000
# A sample shows the task when all but this share of its answers agree.
STRAY = 0.01

_NUMBER = re.compile(r"\s*[-+−]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s*%?\s*")
_SEPARATOR = re.compile(r"\s*[,;|\n]\s*")
_MEMBER = re.compile(r"[^.!?]{1,40}|\d*\.\d+")


class _Codes(dict[str | None, int]):
    """Gives each new label the next code."""

    def __missing__(self, label: str | None) -> int:
        self[label] = code = len(self)
        return code


@dataclass
class Answers:
    """What was seen of the answers: a code for every item while their kinds are few, and a sample in full."""

    kinds: _Codes = field(default_factory=_Codes)
    codes: "array[int]" = field(default_factory=lambda: array("H"))
    closed: bool = True
    sample: list[str] = field(default_factory=list)
    seen: int = 0

    def add(self, labels: Sequence[str | None], texts: Iterable[str]) -> None:
        """Takes a batch: each item's label (None for a long answer) and a few answers in full."""
        self.seen += len(labels)
        if self.closed:
            self.codes.extend(map(self.kinds.__getitem__, labels))
            self.closed = None not in self.kinds and len(self.kinds) <= COUNTED_LABELS
            if not self.closed:
                self.codes = array("H")
        if len(self.sample) < SAMPLED:
            self.sample.extend(texts)

    def counts(self) -> dict[str, int]:
        """{label: items}; empty when the answers are no closed set."""
        if not self.closed:
            return {}
        found = np.bincount(np.frombuffer(self.codes, np.uint16), minlength=len(self.kinds))
        return {str(label): int(found[code]) for label, code in self.kinds.items()}

    def codes_by(self, labels: Sequence[str]) -> Any:
        """Each item's index in `labels` (int16)."""
        place = {label: index for index, label in enumerate(labels)}
        order = np.array([place[str(label)] for label in self.kinds], np.int16)
        return order[np.frombuffer(self.codes, np.uint16)]


def detect_task(answers: Answers) -> str:
    """The task that the answers show; text when none of the others fits."""
    sample = [text for text in answers.sample if text.strip()]
    if not sample:
        return "text"
    numeric = _share(sample, is_number)
    few = len(answers.kinds) <= FEW_NUMBERS and 5 * len(answers.kinds) <= answers.seen
    if numeric and not (answers.closed and few):
        return "number"
    if _share(sample, _is_json_object):
        return "json"
    if _share(sample, _is_json_list):
        return "list"
    lists = _are_lists(sample)
    if is_closed(answers) and not lists:
        return "classification"
    return "list" if lists else "text"


def is_closed(answers: Answers) -> bool:
    """Whether the answers are a closed set: short, few, and each of them repeated."""
    kinds = len(answers.kinds)
    repeats = 2 if kinds <= 20 else 5
    return answers.closed and 0 < kinds <= MOST_LABELS and repeats * kinds <= answers.seen


def is_number(text: str) -> bool:
    """Whether the whole text is one number, perhaps with a sign, thousands commas, an exponent or %."""
    return _NUMBER.fullmatch(text) is not None


def order_labels(counts: Mapping[str, int], instruction: str = "") -> list[str]:
    """The labels in one stable order: as the system message lists them, if it does; else numbers by value;
    else by how often they come, and then by the alphabet."""
    labels = sorted(counts, key=lambda label: (-counts[label], label))
    if 2 <= len(labels) <= 30 and (listed := _as_listed(labels, instruction)):
        return listed
    if labels and all(map(is_number, labels)):
        return sorted(labels, key=lambda label: (_value(label), label))
    return labels


def _as_listed(labels: list[str], instruction: str) -> list[str]:
    one = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True) if label.strip())
    for found in re.finditer(
        rf"(?<!\w)(?:{one})(?:[\s,;/|\"'`*:-]+(?:(?:or|and)\s+)?[\"'`*]?(?:{one})(?!\w))+",
        instruction[:20_000],
    ):
        listed = re.findall(rf"(?<!\w)(?:{one})(?!\w)", found[0])
        if sorted(listed) == sorted(labels):
            return listed
    return []


def _share(sample: Sequence[str], holds: object) -> bool:
    strays = sum(not holds(text) for text in sample)  # type: ignore[operator]
    return strays <= STRAY * len(sample)


def _value(label: str) -> float:
    return float(label.strip().replace(",", "").replace("−", "-").rstrip("% ") or 0)


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _is_json_object(text: str) -> bool:
    value = _decoded(text) if text.lstrip()[:1] in ("{", "[") else None
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _is_json_list(text: str) -> bool:
    return text.lstrip().startswith("[") and isinstance(_decoded(text), list)


def _are_lists(sample: Sequence[str]) -> bool:
    """Whether most answers are short members apart by commas, semicolons, bars or newlines, and the same members
    come in other combinations: fewer members than answers ("Paris, France" alone is a label)."""
    split = [_SEPARATOR.split(text.strip()) for text in sample]
    several = sum(len(members) > 1 for members in split)
    everything = Counter(member for members in split for member in members)
    fitting = all(map(_MEMBER.fullmatch, everything)) and len(everything) < len(set(sample))
    return fitting and 2 * several >= len(sample) and 2 * len(everything) <= everything.total()
