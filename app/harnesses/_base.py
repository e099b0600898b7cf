"""The contract of a harness: plain data in, text files out; the bytes of a log in, answers of single items out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """One test item: the messages a model is given (OpenAI's shape) and the wanted answer."""

    item: str
    messages: Sequence[Mapping[str, Any]]
    expected: str


@dataclass(frozen=True)
class TaskSet:
    """What is to be asked of whom. `name` is a plain identifier; `models` are names at the door, the first of which
    stands in the commands; `address` is the door's base URL, `.../v1`."""

    name: str
    title: str
    questions: Sequence[Question]
    models: Sequence[str]
    address: str
    max_tokens: int

    @property
    def model(self) -> str:
        """The model that the commands name."""
        return next(iter(self.models), "run-1")


@dataclass(frozen=True)
class Logged:
    """What a log says of one item; `answer` is None where the harness got none."""

    where: str
    item: str | None
    answer: str | None
    expected: str | None


@dataclass(frozen=True)
class Harness:
    """One harness. `problem(tasks)` is a sentence on why these items cannot be its task, or ""; `files(tasks)` gives
    {name: text}; `commands(tasks)` the shell lines that run it there; `read(data)` the items of its log, or None where
    the bytes are no log of this harness. `read` raises errors.Invalid for a log that is broken."""

    name: str
    label: str
    note: str
    docs_url: str
    files: Callable[[TaskSet], Mapping[str, str]]
    commands: Callable[[TaskSet], Sequence[str]]
    read: Callable[[bytes], list[Logged] | None]
    log: str  # which file to bring back
    problem: Callable[[TaskSet], str] = lambda _tasks: ""


def json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """One object per line, as text."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def quoted(text: str) -> str:
    """A string for YAML or Python, in double quotes: JSON's are both."""
    return json.dumps(text, ensure_ascii=False)


def said(value: Any) -> str | None:
    """A logged value as text, None where there is none."""
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
