"""The prompts of a run: what is asked for each item, with examples from the train part where the run wants them.

A tuned model gets the item's own messages. A model that is only asked may get examples before them and another system
prompt; its recipe is written into the run's folder when it is prepared, so that others can make the same prompts.
Called by hosted_predict.py.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from app.datasets.stored import StoredItem
from app.providers._shapes import Decoding, Question
from app.runs.hosted_files import service_folder, write_whole
from app.runs.nearest_examples import Index

RECIPE, CHOSEN, FIRST = "prompt-recipe.json", "prompt-examples.jsonl", "first-prompts.json"
SYSTEM = ("system", "developer")
NEAREST = "nearest"
# What a constrained answer begins with, before the label.
ANSWER_BEGINS = re.compile(r'\s*\{\s*"answer"\s*:\s*"')


@dataclass(frozen=True)
class Style:
    """How a run asks: number of examples, how they are chosen, and its own system prompt ("": the item's)."""

    examples: int = 0
    selection: str = "random"
    system_prompt: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Style":
        """From a run's hyperparameters."""
        return cls(
            int(values.get("examples") or 0),
            str(values.get("selection") or "random"),
            str(values.get("system_prompt") or ""),
        )


def messages(
    item: StoredItem, style: Style = Style(), shown: Sequence[StoredItem] = ()
) -> list[dict[str, Any]]:
    """The messages that are sent for an item: system prompt, the examples as turns, the item's own turns."""
    own = [turn for turn in item.prompt if turn["role"] not in SYSTEM]
    system = [turn for turn in item.prompt if turn["role"] in SYSTEM]
    if style.system_prompt:
        system = [{"role": "system", "content": style.system_prompt}]
    turns = [
        turn
        for example in shown
        for turn in (
            *(turn for turn in example.prompt if turn["role"] not in SYSTEM),
            example.answer_message,
        )
    ]
    return [_sent(turn) for turn in (*system, *turns, *own)]


def _sent(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn as services take it: `weight` is for training alone."""
    return {name: value for name, value in turn.items() if name != "weight"}


def question(
    part: str, item: StoredItem, style: Style = Style(), shown: Sequence[StoredItem] = ()
) -> Question:
    """One item as it is asked; its key names it in a batch."""
    return Question(f"{part}-{item.number}", messages(item, style, shown), item.tools)


def choose(
    style: Style, seed: int, train: Sequence[StoredItem], asked: Iterator[StoredItem]
) -> Iterator[tuple[int, list[int]]]:
    """(item number, numbers of its train items in the order shown) for each item; the nearest stands last, right
    before the question."""
    k = min(style.examples, len(train))
    if style.selection == NEAREST and k:
        index = Index([item.input for item in train])
        for item in asked:
            near = index.nearest(item.input, k)
            yield item.number, [train[place].number for place in reversed(near)]
        return
    drawn = [item.number for item in Random(f"{seed}/examples").sample(list(train), k)]
    for item in asked:
        yield item.number, drawn


def write_recipe(
    folder: Path,
    recipe: Mapping[str, Any],
    chosen: Mapping[str, Mapping[int, list[int]]],
    first: Sequence[Any],
) -> None:
    """service/: how the prompts are made, which train items each item is shown, and the first prompts in full."""
    service = service_folder(folder)
    lines = "".join(
        json.dumps({"part": part, "number": number, "examples": shown}) + "\n"
        for part, own in chosen.items()
        for number, shown in own.items()
    )
    write_whole(service / CHOSEN, lines.encode())
    write_whole(service / FIRST, json.dumps(first, indent=2, ensure_ascii=False).encode("utf-8", "replace"))
    # Last: where it is, the other two are.
    write_whole(service / RECIPE, json.dumps(recipe, indent=2, ensure_ascii=False).encode("utf-8", "replace"))


def read_chosen(folder: Path) -> dict[tuple[str, int], list[int]]:
    """{(part, number): numbers of the train items shown}; {} for a run without a recipe."""
    path = folder / "service" / CHOSEN
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:
        rows = (json.loads(line) for line in file)
        return {(row["part"], row["number"]): row["examples"] for row in rows}


def label_schema(labels: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of {"answer": <one of the labels>}."""
    return {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(labels)}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def answer_of(text: str, decoding: Decoding) -> tuple[str, str]:
    """(the answer, the text before it) of a reply: of a constrained one the label within its JSON, else as it is."""
    if decoding.schema is None:
        return text, ""
    begins = ANSWER_BEGINS.match(text)
    try:
        found = json.loads(text)
    except ValueError:
        return text, ""
    if begins is None or not isinstance(found, dict) or not isinstance(found.get("answer"), str):
        return text, ""
    return found["answer"], begins.group()
