"""Finds items that share a prompt, on disk in flat memory: keys are written to a spool while a file is read, and
then sorted one part of the key space after another. Called by check_file.py.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

LINES_NAMED = 10
# Records that are sorted at once.
SORTED = 80_000
READ = 65_536
GIVEN = 10_000
_KEYS = np.dtype([("normalised", "i8"), ("content", "i8"), ("answer", "i8")])
_RECORD = np.dtype([*_KEYS.descr, ("number", "i4")])
TWIN = np.dtype([("number", "i4"), ("first", "i4"), ("occurrence", "i4")])
_FOUND = np.dtype([*_RECORD.descr, *TWIN.descr[1:]])


@dataclass
class Counted:
    """How many items have an oddity, and the numbers of the first few."""

    count: int = 0
    numbers: list[int] = field(default_factory=list)

    def add(self, numbers: Any) -> None:
        """Takes more of them, in any order."""
        self.count += len(numbers)
        self.numbers = sorted([*self.numbers, *np.sort(numbers)[:LINES_NAMED].tolist()])[:LINES_NAMED]


class KeySpool:
    """The keys of all items, on disk. After `twins` has run, `duplicates` and `contradictions` are counted."""

    def __init__(self, folder: Path) -> None:
        # Without a name on disk: nothing is left behind by a process that is killed.
        self.file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by close()
        self.items = 0
        self.duplicates, self.contradictions = Counted(), Counted()

    def add(self, normalised: list[int], content: list[int], answer: list[int]) -> None:
        """Writes the keys of one batch."""
        keys = np.empty(len(content), _KEYS)
        keys["normalised"], keys["content"], keys["answer"] = normalised, content, answer
        self.file.write(keys.tobytes())
        self.items += len(content)

    def twins(self) -> Iterator[Any]:
        """Arrays of TWIN, a few thousand items at a time in the order of their numbers: all items whose prompt,
        but for case and blanks, stands more than once."""
        # A power of two: choosing by the last bits is far quicker than by a remainder.
        parts = 1 << (max(0, self.items - 1) // SORTED).bit_length()
        first, occurrence = np.full(self.items, -1, np.int32), np.ones(self.items, np.int32)
        for part in range(parts):
            found = _twins_of(np.concatenate(list(self._records(part, parts))))
            if len(found):
                self._count(found)
                first[found["number"]], occurrence[found["number"]] = found["first"], found["occurrence"]
        for start in range(0, self.items, GIVEN):
            numbers = np.flatnonzero(first[start : start + GIVEN] >= 0) + start
            if len(numbers):
                twins = np.empty(len(numbers), TWIN)
                twins["number"], twins["first"], twins["occurrence"] = (
                    numbers,
                    first[numbers],
                    occurrence[numbers],
                )
                yield twins

    def _records(self, part: int, parts: int) -> Iterator[Any]:
        self.file.seek(0)
        start = 0
        while data := self.file.read(READ * _KEYS.itemsize):
            keys = np.frombuffer(data, _KEYS)
            chosen = np.flatnonzero(keys["normalised"] & (parts - 1) == part)
            records = np.empty(len(chosen), _RECORD)
            for name in _KEYS.names or ():
                records[name] = keys[name][chosen]
            records["number"] = chosen + start
            start += len(keys)
            yield records

    def _count(self, twins: Any) -> None:
        twins = twins[np.lexsort((twins["number"], twins["answer"], twins["content"]))]
        starts = starts_of(twins["content"])
        again = (~starts) & ~starts_of(twins["answer"])
        self.duplicates.add(twins["number"][again])
        # Within a prompt the answers are sorted, so the first and the last tell whether all are one.
        begins = np.flatnonzero(starts)
        ends = np.append(begins[1:], len(twins)) - 1
        several = twins["answer"][begins] != twins["answer"][ends]
        self.contradictions.add(twins["number"][np.repeat(several, ends - begins + 1)])

    def close(self) -> None:
        """Gives the disk space back."""
        self.file.close()


def _twins_of(records: Any) -> Any:
    records = records[np.argsort(records["normalised"], kind="stable")]
    starts = starts_of(records["normalised"])
    begins = np.flatnonzero(starts)
    sizes = np.diff(np.append(begins, len(records)))
    shared = np.repeat(sizes > 1, sizes)
    twins = np.zeros(int(shared.sum()), _FOUND)
    for name in _RECORD.names or ():
        twins[name] = records[name][shared]
    twins["first"] = np.repeat(records["number"][begins], sizes)[shared]
    order = np.lexsort((twins["number"], twins["content"]))
    begins = np.flatnonzero(starts_of(twins["content"][order]))
    sizes = np.diff(np.append(begins, len(twins)))
    twins["occurrence"][order] = np.arange(len(twins)) - np.repeat(begins, sizes) + 1
    return twins


def starts_of(keys: Any) -> Any:
    """Whether each sorted key is the first of its run."""
    return np.append(True, keys[1:] != keys[:-1])[: len(keys)]
