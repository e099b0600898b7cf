"""The lines of a batch's input file: read, checked, told apart by their custom_id. Called by batch_work.py."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

ENDPOINT = "/v1/chat/completions"
MOST_LINES, MOST_BYTES, LONGEST_ID = 50_000, 200 * 2**20, 512
MOST_ERRORS = 100
LINE = msgspec.json.Decoder()


@dataclass(frozen=True)
class Line:
    """One question: its line number from 1, the caller's id for it, and the body as it was sent."""

    number: int
    custom_id: str
    body: dict[str, Any]


@dataclass
class Checked:
    """What the check of a file found: how many lines, the first one's model, and OpenAI's errors, MOST_ERRORS at most."""

    lines: int = 0
    model: str = ""
    errors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        """One more error, unless there are enough to see what is wrong."""
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"code": code, "line": line, "message": message, "param": param})


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each line that is not empty."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, line


def check_lines(path: Path) -> Checked:
    """Reads the whole file once. A file with errors is not started."""
    found, seen = Checked(), set[str]()
    for number, raw in numbered(path):
        found.lines += 1
        if found.lines > MOST_LINES:
            found.add("too_many_tasks", f"A batch takes at most {MOST_LINES:,} lines.", None, "input_file_id")
            return found
        _check_line(found, seen, number, raw)
    if not found.lines:
        found.add("empty_file", "The file holds no line to answer.", None, "input_file_id")
    return found


def _check_line(found: Checked, seen: set[str], number: int, raw: bytes) -> None:
    try:
        line = LINE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        line = None
    if not isinstance(line, dict):
        found.add("invalid_json_line", "This line is no JSON object.", number)
        return
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(line.get(name), kind) or not line[name]:
            found.add("missing_required_parameter", f"This line has no {name!r}.", number, name)
            return
    if len(line["custom_id"]) > LONGEST_ID:
        found.add(
            "invalid_custom_id", f"A custom_id has at most {LONGEST_ID} characters.", number, "custom_id"
        )
    if line["custom_id"] in seen:
        found.add(
            "duplicate_custom_id", f"{line['custom_id'][:100]!r} names an earlier line.", number, "custom_id"
        )
    seen.add(line["custom_id"])
    if line["method"] != "POST":
        found.add("invalid_method", 'The method is "POST".', number, "method")
    if line["url"] != ENDPOINT:
        found.add("mismatched_endpoint", f"The url is {ENDPOINT!r}, as the batch's endpoint.", number, "url")
    if not isinstance(line["body"].get("model"), str):
        found.add("missing_required_parameter", "The body names no model.", number, "body.model")
    elif not found.model:
        found.model = line["body"]["model"][:300]
    if line["body"].get("stream"):
        found.add("invalid_request", "Answers of a batch do not stream.", number, "body.stream")


def read_line(number: int, raw: bytes) -> Line:
    """A line of a file that was checked."""
    line = LINE.decode(raw)
    return Line(number, line["custom_id"], line["body"])
