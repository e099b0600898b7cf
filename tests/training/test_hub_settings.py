"""What "auto" becomes on a machine, and what a machine cannot do. No training here."""

from typing import Any

import pytest

from tests.training.bundles import values_of
from workers.training.failures import Failure
from workers.training.hub_settings import Machine, settle

CPU = Machine(0, frozenset())
GPU = Machine(4, frozenset({"bitsandbytes", "flash_attn", "liger_kernel"}))


def _settle(machine: Machine, **changes: Any) -> dict[str, Any]:
    return settle(values_of("hf/acme/model", **changes), machine)


def test_auto_on_a_processor() -> None:
    values = _settle(CPU)
    expected = {
        "precision": "fp32", "gradient_checkpointing": False, "attention": "sdpa", "padding_free": False,
        "packing": False, "liger_kernel": False, "torch_compile": False, "devices": 1, "distributed": "no",
        "quantization": "none",
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    # What predicts is decided when it predicts.
    assert {name for name, value in values.items() if value == "auto"} <= {"predictor"}


def test_auto_on_gpus_with_everything_installed() -> None:
    values = _settle(GPU)
    expected = {
        "precision": "bf16", "gradient_checkpointing": True, "attention": "flash_attention_2", "padding_free": True,
        "packing": False, "liger_kernel": True, "torch_compile": False, "devices": 4, "distributed": "ddp",
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    assert _settle(GPU, precision="fp32")["attention"] == "sdpa"
    assert _settle(Machine(1, frozenset()))["attention"] == "sdpa"


def test_packing_stands_rows_one_behind_the_other_anywhere() -> None:
    assert _settle(CPU, packing=True)["padding_free"] is True


@pytest.mark.parametrize(
    ("gpus", "batch", "steps", "devices"), [(3, 8, 2, 2), (8, 8, 2, 8), (6, 6, 1, 6), (4, 1, 1, 1)]
)
def test_auto_takes_as_many_gpus_as_share_a_step_evenly(
    gpus: int, batch: int, steps: int, devices: int
) -> None:
    found = _settle(Machine(gpus, frozenset()), batch_size=batch, gradient_accumulation=steps)
    assert found["devices"] == devices


@pytest.mark.parametrize(
    ("machine", "changes", "words"),
    [
        (CPU, {"attention": "flash_attention_2"}, "FlashAttention cannot be used here"),
        (GPU, {"attention": "flash_attention_2", "precision": "fp32"}, "FlashAttention cannot be used here"),
        (CPU, {"liger_kernel": "yes"}, "Liger kernels cannot be used here"),
        (CPU, {"quantization": "4bit"}, "needs the package bitsandbytes"),
        (GPU, {"quantization": "8bit", "method": "full"}, "cannot be trained in full"),
        (GPU, {"quantization": "4bit", "distributed": "fsdp"}, "cannot be spread over devices"),
        (GPU, {"devices": 8}, "8 devices were asked for and this machine has 4 GPUs"),
        (GPU, {"devices": 3}, "cannot be shared by 3 devices"),
        (GPU, {"use_dora": True, "method": "full"}, "go with method lora"),
    ],
)
def test_what_a_machine_cannot_do_is_a_clear_error(
    machine: Machine, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(Failure, match=words) as failure:
        _settle(machine, **changes)
    assert failure.value.hint


def test_full_fine_tuning_has_nothing_of_lora() -> None:
    values = _settle(CPU, method="full")
    assert not [name for name in values if name.startswith("lora_")]
    assert (values["quantization"], values["use_dora"]) == ("none", False)


def test_a_configuration_of_before_still_runs_as_it_did() -> None:
    newer = {
        "quantization",
        "use_dora",
        "use_rslora",
        "packing",
        "padding_free",
        "group_by_length",
        "attention",
    }
    newer |= {"liger_kernel", "torch_compile", "devices", "distributed", "early_stopping_patience"}
    older = {name: value for name, value in values_of("hf/acme/model").items() if name not in newer}
    values = settle(older, GPU)
    assert (values["devices"], values["attention"], values["padding_free"]) == (1, "sdpa", False)
    assert (values["group_by_length"], values["early_stopping_patience"]) == (False, 0)
