"""Which works are cited beyond what the toolkits say."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from app.exports.bibtex import adapters, base_models, trainers, uses_lora


@pytest.mark.parametrize(
    ("ledger", "undisclosed", "lora"),
    [
        ({"method": {"resolved": "lora"}}, (), True),
        ({"method": {"resolved": "full"}, "lora_r": {"sent": 8}}, (), False),
        ({"epochs": {"sent": 2}, "lora_r": {"sent": 8, "resolved": None}}, ("optimiser",), True),
        ({"epochs": {"sent": 2}}, ("LoRA rank", "LoRA alpha"), True),
        ({"epochs": {"sent": 2}}, ("adapter type and rank",), False),
        ({}, (), False),
    ],
)
def test_lora_is_cited_where_it_was_trained_here_or_at_a_service(
    ledger: dict[str, Any], undisclosed: tuple[str, ...], lora: bool
) -> None:
    run = SimpleNamespace(ledger=ledger, snapshot={"service": {"undisclosed": undisclosed}})
    assert uses_lora(run) is lora


@pytest.mark.parametrize(
    ("ledger", "keys"),
    [
        ({"quantization": {"resolved": "4bit"}, "use_dora": {"resolved": True}}, ["dora", "qlora"]),
        ({"quantization": {"resolved": "8bit"}, "use_rslora": {"resolved": True}}, ["rslora", "llmint8"]),
        ({"quantization": {"resolved": "none"}, "use_dora": {"resolved": False}}, []),
        ({"quantization": {"sent": "4bit", "resolved": None}}, []),
    ],
)
def test_what_was_done_to_an_adapter_is_cited(ledger: dict[str, Any], keys: list[str]) -> None:
    entries = adapters([SimpleNamespace(ledger=ledger)] * 2)
    assert [re.findall(r"\{([^,]+),", entry)[0] for entry in entries] == keys


def test_a_model_that_a_toolkit_trained_is_cited_with_its_trainer():
    models = ["hf/acme/small", "axolotl/acme/small", "trl/acme/large", "baseline/majority", "openai/gpt-4.1"]
    assert re.findall(r"huggingface.co/([\w/]+)", "".join(base_models(models))) == [
        "acme/large",
        "acme/small",
    ]
    (entry,) = trainers(models)
    assert entry.startswith("@misc{axolotl,")
    assert "Version 0.19.0" in entry
