"""A model card in the Hugging Face Hub's format: YAML metadata, then what was done. Pure and deterministic.

Format: https://huggingface.co/docs/hub/model-cards. Filled by model_card_file.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from app.errors import Invalid

LICENSE = re.compile(r"[a-z0-9][a-z0-9.\-]{0,60}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,8})?")
REPO = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]{1,96}")
LIMITS = (
    "The model was tuned and scored on one data set. The scores hold for items like its test part and say "
    "nothing about other inputs; the intervals cover the choice of test items, not the choice of training data."
)


@dataclass(frozen=True)
class ScoreLine:
    """One score as the card shows it; rates lie in 0..1."""

    name: str
    label: str
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class CardFacts:
    """What a card tells. `base` is {"name", "revision" or "sha256"}, {} for a model trained from scratch;
    `ledger` rows are (name, value, source)."""

    title: str
    model: str
    seed: int | None
    task: str
    adapter: bool
    base: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    ledger: Sequence[tuple[str, str, str]]
    scores: Sequence[ScoreLine]
    rules: Sequence[str]
    decoding: Mapping[str, Any]
    # Whether it was trained on preferences.
    dpo: bool = False


def check_card(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """{"license", "language", "dataset_repo"}, each "" when not given; raises Invalid for bad ones."""
    license_name = str(parameters.get("license") or "").strip().lower()
    language = str(parameters.get("language") or "").strip()
    dataset = str(parameters.get("dataset_repo") or "").strip()
    for name, value, form, say in (
        ("license", license_name, LICENSE, "an identifier such as apache-2.0, cc-by-4.0 or llama3.1"),
        ("language", language, LANGUAGE, "a code such as en"),
        ("dataset_repo", dataset, REPO, "owner/name"),
    ):
        if value and not form.fullmatch(value):
            raise Invalid(
                f"The {name.replace('_', ' ')} {value[:60]!r} cannot be used.", f"Write {say}.", {name: say}
            )
    return {"license": license_name, "language": language, "dataset_repo": dataset}


def card(facts: CardFacts, chosen: Mapping[str, Any]) -> str:
    """The README.md; `chosen` is what check_card() gave."""
    head = yaml.safe_dump(metadata(facts, chosen), sort_keys=False, allow_unicode=True, width=100)
    parts = [
        f"# {facts.title}",
        _intro(facts),
        "## Scores",
        _scores(facts),
        "## How predictions were made",
        _predictions(facts),
        "## Data",
        _data(facts),
        "## Hyperparameters",
        _hyperparameters(facts),
        "## Limitations",
        LIMITS,
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def metadata(facts: CardFacts, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML head. The base model is named where it has a name on the Hub."""
    found: dict[str, Any] = {"license": chosen["license"] or "unknown"}
    if chosen["language"]:
        found["language"] = [chosen["language"]]
    base = str(facts.base.get("name") or "")
    if REPO.fullmatch(base):
        found["base_model"] = base
        found["base_model_relation"] = "adapter" if facts.adapter else "finetune"
    if chosen["dataset_repo"]:
        found["datasets"] = [chosen["dataset_repo"]]
    found |= {
        "pipeline_tag": "text-generation",
        "library_name": "peft" if facts.adapter else "transformers",
        "tags": ["tunebook"],
    }
    if facts.scores:
        found["model-index"] = [{"name": facts.title, "results": [_result(facts, chosen)]}]
    return found


def _result(facts: CardFacts, chosen: Mapping[str, Any]) -> dict[str, Any]:
    name = str(facts.snapshot.get("dataset", ""))
    kind = chosen["dataset_repo"] or (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "dataset")
    return {
        "task": {"type": "text-classification" if facts.task == "classification" else "text-generation"},
        "dataset": {
            "name": name,
            "type": kind,
            "split": "test",
            "revision": str(facts.snapshot.get("dataset_sha256", "")),
        },
        "metrics": [
            {
                "type": score.name,
                "name": score.label,
                "value": round(score.value, 4),
                "args": {"low": _round(score.low), "high": _round(score.high), "level": 0.95, "n": score.n},
            }
            for score in facts.scores
        ],
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _intro(facts: CardFacts) -> str:
    seed = "" if facts.seed is None else f", seed {facts.seed}"
    how = {True: "A LoRA adapter of", False: "A full fine-tuning of"}[facts.adapter]
    said = f"{how} {facts.base['name']}" if facts.base else f"{facts.model}, trained from scratch"
    where = facts.base.get("revision") or facts.base.get("sha256")
    learned = ", by direct preference optimization" if facts.dpo else ""
    return f"{said}{f' (weights {where})' if where else ''}{seed}{learned}, made and scored with Tunebook."


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return "No scores were made."
    lines = ["| Metric | Value | 95 % interval | Items |", "| --- | ---: | ---: | ---: |"]
    for score in facts.scores:
        known = score.low is not None and score.high is not None
        interval = f"{score.low:.4f} to {score.high:.4f}" if known else "not given"
        lines.append(f"| {score.label} | {score.value:.4f} | {interval} | {score.n} |")
    return "\n".join(lines) + "\n\nRates are shares from 0 to 1."


def _predictions(facts: CardFacts) -> str:
    said = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in facts.decoding.items() if value is not None
    )
    rules = "\n".join(f"- {rule}" for rule in facts.rules)
    return f"Decoding: {said or 'not stored'}.\n\nHow answers were read:\n\n{rules or '- as they are'}"


def _data(facts: CardFacts) -> str:
    stored, counts = facts.snapshot, facts.snapshot.get("counts") or {}
    sizes = ", ".join(f"{counts.get(part, 0)} {part}" for part in ("train", "validation", "test"))
    return (
        f'Data set "{stored.get("dataset")}", SHA-256 `{stored.get("dataset_sha256")}`. Split '
        f'"{stored.get("split")}", SHA-256 `{stored.get("split_sha256")}`: {sizes} items.'
    )


def _hyperparameters(facts: CardFacts) -> str:
    lines = ["| Name | Value | Chosen by |", "| --- | --- | --- |"]
    lines += [f"| {name} | {value} | {source} |" for name, value, source in facts.ledger]
    return "\n".join(lines)
