"""What was answered of a batch, on disk: output.jsonl and errors.jsonl, only ever added to, and an index of them.

A line is answered once its bytes are in one of the two files. The index says which lines those are without reading them;
what a kill kept from the index is found again at the end of the files. Called by batch_work.py, whose lease makes it the
only writer.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from app.clock import now
from app.door.batch_lines import Line
from app.door.ids import new_id

OUTPUT, ERRORS, INDEX, TRIES = "output.jsonl", "errors.jsonl", "index.txt", "tries.txt"


class Journal:
    """The answers of one batch. `done` are the numbers of answered lines; `lost_ids` the custom_ids of answers that the
    index does not know yet."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.done: set[int] = set()
        self.completed = self.failed = 0
        self.tries: dict[int, int] = {}
        self._waiting: list[tuple[int, bool, bytes]] = []
        sizes = self._read_index()
        self.lost_ids: dict[str, bool] = {}
        for name, good in ((OUTPUT, True), (ERRORS, False)):
            self.lost_ids |= dict.fromkeys(_tail(folder / name, sizes[name]), good)
        for line in _whole_lines(folder / TRIES):
            self.tries[int(line)] = self.tries.get(int(line), 0) + 1

    def _read_index(self) -> dict[str, int]:
        """Reads which lines are answered; gives the files' sizes that it knows of."""
        sizes = {OUTPUT: 0, ERRORS: 0}
        for line in _whole_lines(self.folder / INDEX):
            number, good, size = line.split()
            self._count(int(number), good == b"1")
            sizes[OUTPUT if good == b"1" else ERRORS] = int(size)
        return sizes

    def _count(self, number: int, good: bool) -> None:
        self.done.add(number)
        self.completed += good
        self.failed += not good

    def knows(self, line: Line) -> bool:
        """Whether the line was answered, also where a kill kept it from the index."""
        if line.number in self.done:
            return True
        good = self.lost_ids.pop(line.custom_id, None)
        if good is None:
            return False
        size = (self.folder / (OUTPUT if good else ERRORS)).stat().st_size
        _append(self.folder / INDEX, f"{line.number} {int(good)} {size}\n".encode())
        self._count(line.number, good)
        return True

    def add(self, line: Line, answer: dict[str, Any]) -> None:
        """An answer that flush() will keep; `answer` has response and error as OpenAI's lines have."""
        response = answer.get("response")
        good = response is not None and response["status_code"] == 200
        row = {
            "id": new_id("batch_req_"),
            "custom_id": line.custom_id,
            "response": None,
            "error": None,
            **answer,
        }
        self._waiting.append((line.number, good, msgspec.json.encode(row) + b"\n"))

    def flush(self) -> int:
        """Keeps what was added, so that it outlasts a power cut; says how many lines."""
        rows, self._waiting = self._waiting, []
        for name, wanted in ((OUTPUT, True), (ERRORS, False)):
            own = [(number, text) for number, good, text in rows if good == wanted]
            if not own:
                continue
            size = _append(self.folder / name, b"".join(text for _, text in own))
            marks, ends = [], size - sum(len(text) for _, text in own)
            for number, text in own:
                # Each with its own end, so that an index that was cut short says where the rest begins.
                ends += len(text)
                marks.append(f"{number} {int(wanted)} {ends}\n")
                self._count(number, wanted)
            _append(self.folder / INDEX, "".join(marks).encode())
        return len(rows)

    def note_try(self, number: int) -> int:
        """Notes a try that got no answer; says how many there were of this line."""
        _append(self.folder / TRIES, f"{number}\n".encode())
        self.tries[number] = self.tries.get(number, 0) + 1
        return self.tries[number]

    def tokens(self) -> tuple[int, int]:
        """(prompt tokens, answer tokens) of all answers."""
        read = written = 0
        for line in _whole_lines(self.folder / OUTPUT):
            usage = msgspec.json.decode(line)["response"]["body"].get("usage") or {}
            read += usage.get("prompt_tokens") or 0
            written += usage.get("completion_tokens") or 0
        return read, written


def answered(id: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """The response of a line, also of one that was refused."""
    return {"response": {"status_code": status, "request_id": id, "body": body}, "error": None}


def unanswered(code: str, message: str) -> dict[str, Any]:
    """What stands for a line that was not asked."""
    return {"response": None, "error": {"code": code, "message": f"{message} ({now():%Y-%m-%d %H:%M} UTC)"}}


def _append(path: Path, data: bytes) -> int:
    """Adds to the file and has the disk keep it; gives the file's size then."""
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file; the torn one that a kill may have left at its end is cut off."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)
    return data[:whole].splitlines()


def _tail(path: Path, known: int) -> list[str]:
    """The custom_ids that stand behind the first `known` bytes; a torn line is cut off."""
    try:
        with path.open("rb") as file:
            file.seek(known)
            data = file.read()
    except FileNotFoundError:
        return []
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, known + whole)
    return [msgspec.json.decode(line)["custom_id"] for line in data[:whole].splitlines()]
