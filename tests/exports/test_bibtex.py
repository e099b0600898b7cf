"""Which works are cited beyond what the toolkits say."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.exports.bibtex import uses_lora


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
