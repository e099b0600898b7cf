"""Pushes a run's model with its card, or its data set's split, to a Hugging Face repository. Used by kinds.py."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from app import hub
from app.config import settings
from app.datasets.stored import part_items
from app.db import session_scope
from app.errors import Conflict, Invalid
from app.exports.model_card import REPO, check_card
from app.exports.model_card_file import card_text
from app.exports.weights import model_name
from app.exports.work import Made, Work
from app.runs.outputs import weights_folder
from app.tables import Dataset, Split

PARTS = ("train", "validation", "test")


def check_model_push(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """{"repo", "private"} and the card's choices; raises Invalid."""
    return {**_check_repo(parameters), **check_card(parameters)}


def check_dataset_push(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """{"repo", "private", "license", "language", "dataset_repo"}; raises Invalid."""
    return check_model_push(parameters)


def _check_repo(parameters: Mapping[str, Any]) -> dict[str, Any]:
    repo = str(parameters.get("repo") or "").strip()
    if not REPO.fullmatch(repo):
        raise Invalid(
            f"{repo[:100]!r} is no name of a repository." if repo else "No repository is named.",
            "Write owner/name, for example my-lab/my-model.",
            {"repo": "owner/name"},
        )
    return {"repo": repo, "private": parameters.get("private") not in (False, "", "off", "false", None)}


def make_model_push(work: Work) -> Made:
    """The weights as they are (an adapter stays one) and README.md, in one commit."""
    folder = weights_folder(work.run_folder)
    if folder is None:
        raise Conflict(f"Run {work.run.id} has no weights.", "They are gone from the data folder.")
    inside = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    files = {str(path.relative_to(folder)): path for path in inside}
    readme = work.folder / "README.md"
    readme.write_text(card_text(work.export, work.run), encoding="utf-8")
    return _push(work, "model", {**files, "README.md": readme})


def make_dataset_push(work: Work) -> Made:
    """train.jsonl, validation.jsonl and test.jsonl of the run's split, and README.md, in one commit."""
    files = {}
    with session_scope(write=False) as session:
        dataset, split = (
            session.get_one(Dataset, work.run.dataset_id),
            session.get_one(Split, work.run.split_id),
        )
        for part in PARTS:
            if not split.counts.get(part):
                continue
            files[f"{part}.jsonl"] = path = work.folder / f"{part}.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for item in part_items(session, dataset, split, part):
                    row = {"messages": [*item.prompt, item.answer_message]}
                    row |= {"tools": item.tools} if item.tools else {}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    readme = work.folder / "README.md"
    readme.write_text(dataset_card(dataset, split, list(files), work.export.parameters), encoding="utf-8")
    return _push(work, "dataset", {**files, "README.md": readme})


def dataset_card(dataset: Dataset, split: Split, files: list[str], chosen: Mapping[str, Any]) -> str:
    """The data set's README.md, with the parts where the Hub's viewer looks for them. Pure."""
    head: dict[str, Any] = {"license": chosen["license"] or "unknown"}
    if chosen["language"]:
        head["language"] = [chosen["language"]]
    parts = [{"split": name.partition(".")[0], "path": name} for name in files]
    head |= {"tags": ["tunebook"], "configs": [{"config_name": "default", "data_files": parts}]}
    counts = ", ".join(f"{split.counts.get(part, 0)} {part}" for part in PARTS)
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n# {dataset.name}\n\n"
        f'{dataset.items} items, task {dataset.task}. Split "{split.name}": {counts}.\n\n'
        f"SHA-256 of the file it was made from: `{dataset.sha256}`; of the split: `{split.sha256}`.\n\n"
        "Each line is a chat (`messages`) whose last message is the wanted answer.\n"
    )


def _push(work: Work, kind: str, files: Mapping[str, Path]) -> Made:
    token = work.token or settings().hf_token
    if not token:
        raise Invalid(
            "There is no Hugging Face token.",
            "Give one in the form (it is used once and not kept), or set TUNEBOOK_HF_TOKEN.",
            {"token": "needed"},
        )
    work.say(0.1, f"compares and sends {len(files)} files")
    asked = work.export.parameters
    message = f"Tunebook: run {work.run.id}, {model_name(work.run)}"
    pushed = hub.push(asked["repo"], kind, files, message, private=asked["private"], token=token)
    return Made(result={"url": pushed.url, "commit": pushed.commit, "changed": pushed.changed})
