"""The model card: its metadata as the Hub reads it, the same bytes each time."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import Invalid
from app.exports.model_card import CardFacts, ScoreLine, card, check_card

FACTS = CardFacts(
    title="Small, seed 1 on Metals",
    model="hf/lab/small",
    seed=1,
    task="classification",
    adapter=True,
    base={"name": "lab/small", "revision": "abc"},
    snapshot={"dataset": "Metals: ores", "dataset_sha256": "a" * 64, "split": "own", "split_sha256": "b" * 64,
              "counts": {"train": 8, "test": 2}},
    ledger=[("epochs", "3", "you")],
    scores=[ScoreLine("accuracy", "Accuracy", 0.91234567, 0.85, 0.95, 200)],
    rules=["Blanks around the answer are taken away."],
    decoding={"method": "greedy", "temperature": 0, "class_probabilities": None},
)  # fmt: skip
CHOSEN = {"license": "apache-2.0", "language": "en", "dataset_repo": "lab/metals"}


def test_the_hub_reads_its_metadata() -> None:
    from huggingface_hub import ModelCard

    read: Any = ModelCard(card(FACTS, CHOSEN)).data
    assert (read.license, read.base_model, read.datasets) == ("apache-2.0", "lab/small", ["lab/metals"])
    assert (read.pipeline_tag, read.library_name, read.language) == ("text-generation", "peft", ["en"])
    (result,) = read.eval_results
    assert (result.task_type, result.dataset_type, result.dataset_split) == (
        "text-classification",
        "lab/metals",
        "test",
    )
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.9123)
    assert result.metric_args == {"low": 0.85, "high": 0.95, "level": 0.95, "n": 200}


def test_the_body_tells_how_it_was_made() -> None:
    said = card(FACTS, CHOSEN)
    for part in ("A LoRA adapter of lab/small (weights abc), seed 1", "| Accuracy | 0.9123 | 0.8500 to 0.9500 | 200 |",
                 "Decoding: method greedy, temperature 0.", "8 train, 0 validation, 2 test", "| epochs | 3 | you |",
                 "## Limitations"):  # fmt: skip
        assert part in said
    assert said == card(FACTS, CHOSEN)
    assert "preference" not in said
    assert "seed 1, by direct preference optimization, made" in card(replace(FACTS, dpo=True), CHOSEN)


def test_a_base_without_a_name_on_the_hub_is_not_linked() -> None:
    facts = replace(FACTS, base={"name": "folder", "sha256": "c" * 64}, scores=[])
    said = card(facts, {"license": "", "language": "", "dataset_repo": ""})
    assert "base_model" not in said
    assert "license: unknown" in said
    assert "model-index" not in said


@pytest.mark.parametrize("wrong", [{"license": "a b"}, {"language": "english!"}, {"dataset_repo": "x"}])
def test_bad_choices_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        check_card(wrong)
