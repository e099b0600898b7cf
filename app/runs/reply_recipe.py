"""Prepares a run that only asks: its folder with the data, and service/ with the recipe of its prompts."""

import json
from typing import Any

from app.datasets.stored import part_items
from app.db import session_scope
from app.errors import Invalid
from app.runs.bundle import write_bundle
from app.runs.hosted_files import service_folder
from app.runs.ledger import sent_values
from app.runs.prepare import PARTS, predicted_parts
from app.runs.prompts import NEAREST, RECIPE, Style, choose, messages, write_recipe
from app.runs.reply_plan import make_plan, shown_decoding
from app.runs.reply_target import find_target
from app.storage import run_folder
from app.tables import Dataset, Run, Split

FIRST_PROMPTS = 3
HOW = {
    "random": "the same train items for all, drawn by the run's seed (Python's random.Random('<seed>/examples'))",
    NEAREST: "for each item the train items whose words are nearest: cosine of TF-IDF, the nearest one last",
}


def prepare_prompts(run: Run) -> None:
    """Writes the folder unless a whole one is there. Only the train part is ever shown as an example."""
    folder, style = run_folder(run.id or 0), Style.of(sent_values(run.ledger))
    if not (folder / "config.json").is_file():
        with session_scope(write=False) as session:
            dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
            parts = {part: part_items(session, dataset, split, part) for part in PARTS}
            files = {"config.json": _text(_config(run)), "README.md": _readme(run)}
            write_bundle(folder, files, (), parts)
    if not (service_folder(folder) / RECIPE).is_file():
        _write_prompts(run, style)


def _write_prompts(run: Run, style: Style) -> None:
    with session_scope(write=False) as session:
        dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
        train = list(part_items(session, dataset, split, "train")) if style.examples else []
        if style.examples > len(train):
            raise Invalid(
                f"{style.examples} examples are asked for, but the split has {len(train)} train items.",
                "Clone the run with fewer examples.",
            )
        chosen: dict[str, dict[int, list[int]]] = {}
        first: list[list[dict[str, Any]]] = []
        by_number = {item.number: item for item in train}
        for part in predicted_parts(session, run):
            asked = part_items(session, dataset, split, part)
            chosen[part] = dict(choose(style, run.seed if run.seed is not None else 1, train, asked))
        for item in part_items(session, dataset, split, "test"):
            if len(first) == FIRST_PROMPTS:
                break
            shown = [by_number[number] for number in chosen["test"][item.number]]
            first.append(messages(item, style, shown))
    plan = make_plan(run, find_target(run))
    recipe = {
        **_config(run),
        "system_prompt": style.system_prompt or "the item's own",
        "examples": style.examples,
        "selection": HOW.get(style.selection, style.selection) if style.examples else "none",
        "order": "system prompt, then each example's turns with its answer, then the item's own turns",
        "decoding": shown_decoding(plan.decoding),
        "schema": plan.decoding.schema,
    }
    write_recipe(run_folder(run.id or 0), recipe, chosen, first)


def _config(run: Run) -> dict[str, Any]:
    return {
        "model": run.model,
        "seed": run.seed,
        "hyperparameters": sent_values(run.ledger),
        "launch_key": run.launch_key,
        "dataset_sha256": run.snapshot.get("dataset_sha256"),
        "split_sha256": run.snapshot.get("split_sha256"),
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _readme(run: Run) -> str:
    return (
        f"# {run.model}\n\nAsked without training.\n\n"
        "- `config.json`: the model and every value\n"
        "- `train.jsonl`, `validation.jsonl`, `test.jsonl`: the items of the split\n"
        "- `service/prompt-recipe.json`: how each prompt was made and how answers were drawn\n"
        "- `service/prompt-examples.jsonl`: for each item the numbers of the train items it was shown, in order\n"
        "- `service/first-prompts.json`: the first prompts in full\n"
        "- `out/`: predictions\n"
    )
