"""What "auto" becomes on the machine that trains, and what it cannot do, before anything is loaded. Called by hub.py."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from .failures import Failure
from .hub_rows import share

# For configurations written before these existed: what they did then.
BEFORE: dict[str, Any] = {
    "quantization": "none", "use_dora": False, "use_rslora": False, "packing": False, "padding_free": "no",
    "group_by_length": False, "attention": "sdpa", "liger_kernel": "no", "torch_compile": "no", "devices": 1,
    "distributed": "ddp", "early_stopping_patience": 0, "objective": "sft",
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """What there is to train on: NVIDIA GPUs (0: the processor), and which packages are installed."""

    gpus: int
    packages: frozenset[str]


def this_machine() -> Machine:
    """Looks; imports nothing but PyTorch. The nodes of a batch job count as one machine."""
    import torch

    from .hub_ranks import nodes

    wanted = ("bitsandbytes", "flash_attn", "liger_kernel")
    return Machine(torch.cuda.device_count() * nodes(), frozenset(name for name in wanted if find_spec(name)))


def settle(asked: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """The values with every "auto" decided, and without those of an adapter where there is none.

    Raises Failure for what this machine cannot do: nothing is left out silently.
    """
    values, on_gpu = {**BEFORE, **asked}, machine.gpus > 0
    if values["precision"] == "auto":
        values["precision"] = "bf16" if on_gpu else "fp32"
    values["gradient_checkpointing"] = _decide(values["gradient_checkpointing"], on_gpu)
    values["attention"] = _attention(values, machine)
    values["packing"] = bool(values["packing"])
    values["padding_free"] = values["packing"] or _decide(values["padding_free"], on_gpu)
    values["liger_kernel"] = _liger(values["liger_kernel"], machine)
    # Rows of changing length are compiled again and again: it is only done when it is asked for.
    values["torch_compile"] = values["torch_compile"] == "yes"
    values["devices"] = _devices(values, machine)
    if values["devices"] == 1:
        values["distributed"] = "no"
    _check_quantization(values, machine)
    if values["method"] == "full":
        if values["use_dora"] or values["use_rslora"]:
            raise Failure("DoRA and rsLoRA go with method lora, not with full.", "Change one of the two.")
        values = {name: value for name, value in values.items() if not name.startswith("lora_")}
    if values["objective"] != "dpo":
        values.pop("dpo_beta", None)
    return values


def _decide(word: str, best: bool) -> bool:
    return best if word == "auto" else word == "yes"


def _attention(values: dict[str, Any], machine: Machine) -> str:
    word = str(values["attention"])
    can = machine.gpus > 0 and "flash_attn" in machine.packages and values["precision"] == "bf16"
    if word == "auto":
        return "flash_attention_2" if can else "sdpa"
    if word == "flash_attention_2" and not can:
        raise Failure(
            "FlashAttention cannot be used here: it needs an NVIDIA GPU, the package flash-attn and precision bf16.",
            "Install flash-attn on the machine that trains, or set attention to auto or sdpa.",
        )
    return word


def _liger(word: str, machine: Machine) -> bool:
    can = machine.gpus > 0 and "liger_kernel" in machine.packages
    if word == "yes" and not can:
        raise Failure(
            "Liger kernels cannot be used here: they need an NVIDIA GPU and the package liger-kernel.",
            "Install liger-kernel on the machine that trains, or set Liger kernels to auto or no.",
        )
    return can and word != "no"


def _check_quantization(values: dict[str, Any], machine: Machine) -> None:
    if values["quantization"] == "none":
        return
    if values["method"] == "full":
        raise Failure(
            "A quantized base cannot be trained in full: its weights are frozen.",
            "Take method lora, or quantization none.",
        )
    if values["distributed"] == "fsdp":
        raise Failure(
            "A quantized base cannot be spread over devices by fsdp here.",
            "Set several devices to ddp: a quantized base is small enough to stand on each.",
        )
    if "bitsandbytes" not in machine.packages:
        raise Failure(
            f"Quantization {values['quantization']} needs the package bitsandbytes, which is not installed.",
            "Install it where training runs (pip install bitsandbytes), or set quantization to none.",
        )


def _devices(values: dict[str, Any], machine: Machine) -> int:
    """How many processes train: as many as asked for, or the most GPUs that can share a step evenly."""
    if values["devices"] == "auto":
        return max(count for count in range(1, max(1, machine.gpus) + 1) if _shared(values, count))
    wanted = int(values["devices"])
    if machine.gpus and wanted > machine.gpus:
        raise Failure(
            f"{wanted} devices were asked for and this machine has {machine.gpus} GPUs.",
            f"Set devices to auto or to at most {machine.gpus}.",
        )
    try:
        share({**values, "devices": wanted})
    except ValueError as error:
        raise Failure(
            f"{error}.", "Change the batch size, the gradient accumulation or the devices."
        ) from error
    return wanted


def _shared(values: dict[str, Any], count: int) -> bool:
    try:
        share({**values, "devices": count})
    except ValueError:
        return False
    return True
