"""What a bundle asks for: config.json and its three parts of data, read once at the start."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .files import read_json, read_lines


@dataclass(frozen=True)
class Job:
    """A bundle. `config` is the whole config.json; rows are as app/runs/bundle.py writes them."""

    folder: Path
    config: dict[str, Any]
    launch_key: str
    kind: str
    model: str
    model_path: str
    task: str
    labels: list[str]
    values: dict[str, Any]
    seed: int
    threads: int
    max_new_tokens: int
    predict: tuple[str, ...] = ("test",)

    @property
    def out(self) -> Path:
        """The folder for everything the run writes."""
        return self.folder / "out"

    @cached_property
    def train(self) -> list[dict[str, Any]]:
        """Rows {item, number, line, messages, tools?}; the wanted answer is the last message."""
        return read_lines(self.folder / "train.jsonl")

    @cached_property
    def validation(self) -> list[dict[str, Any]]:
        """Rows like `train`; may be none."""
        return read_lines(self.folder / "validation.jsonl")

    @cached_property
    def test(self) -> list[dict[str, Any]]:
        """Rows {item, number, line, prompt, expected, tools?}."""
        return read_lines(self.folder / "test.jsonl")

    def rows(self, part: str) -> list[dict[str, Any]]:
        """The rows of "validation" or "test" as they are predicted: {item, number, line, prompt, tools?}."""
        if part == "test":
            return self.test
        return [{**row, "prompt": row["messages"][:-1]} for row in self.validation]


def read_job(folder: Path, model_path: str = "") -> Job:
    """The job of a bundle; the base model is at `model_path`, else where here.json says, else where the bundle says."""
    config = read_json(folder / "config.json")
    here = read_json(folder / "here.json")
    if not config:
        raise SystemExit(f"{folder / 'config.json'} is missing or not JSON.")
    return Job(
        folder=folder,
        config=config,
        launch_key=config["launch_key"],
        kind=config["kind"],
        model=config["model"],
        model_path=model_path or here.get("model_path") or config["model_path"],
        task=config["task"],
        labels=list(config["labels"]),
        values=dict(config["hyperparameters"]),
        seed=int(config["seed"]),
        threads=int(config["threads"]),
        max_new_tokens=int(config["max_new_tokens"]),
        predict=tuple(config["predict"]),
    )


def answer_text(message: dict[str, Any]) -> str:
    """An assistant's message as text; tool calls are written as one line of JSON after it."""
    text = str(message.get("content") or "")
    single = message.get("function_call")
    calls = message.get("tool_calls") or ([{"function": single}] if single else [])
    if not calls:
        return text
    functions = [call["function"] for call in calls]
    written = json.dumps(functions, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{text}\n{written}" if text else written


def plain_chat(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chat as {role, content, weight?} with the four roles that chat templates know."""
    roles = {"developer": "system", "function": "tool"}
    chat = []
    for message in messages:
        role = roles.get(message["role"], message["role"])
        turn = {
            "role": role,
            "content": answer_text(message) if role == "assistant" else str(message.get("content") or ""),
        }
        chat.append(turn | ({"weight": message["weight"]} if message.get("weight") is not None else {}))
    return chat


def prompt_text(messages: list[dict[str, Any]]) -> str:
    """What a classical model reads: the user's texts apart by blank lines, else the whole prompt."""
    users = [str(message.get("content") or "") for message in messages if message["role"] == "user"]
    return "\n\n".join(users or [str(message.get("content") or "") for message in messages])
