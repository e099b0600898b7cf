"""How much memory a training takes, before it starts, and what this machine has. Used by estimate.py and choices.py."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psutil

from app.preferences import is_dpo

# A weight that is trained: itself, its gradient and Adam's two moments, 4 bytes each.
TRAINED_BYTES = 16
# A weight of the model that DPO compares with when every weight is trained.
REFERENCE_BYTES = 4
# A frozen weight in fewer bits, with the constants of its blocks (T. Dettmers et al. 2023, QLoRA).
QUANTIZED_BYTES = {"8bit": 1.05, "4bit": 0.52}
# What a layer keeps of one token for the way back, in values of the width; attention without its matrix
# (V. Korthikanti et al. 2022, Reducing activation recomputation, equation 1: 34 bytes in 16 bits).
KEPT_VALUES = 17
# The layers of a Llama that an adapter stands on, in widths: of a value into each and out of it.
ADAPTED_WIDTHS = 20
# Logits of an answer's token: as they come, in 32 bits, and their gradient.
LOGIT_BYTES = 10
USUAL_VOCABULARY = 128_000
GPU, MAIN = "GPU", "machine"


@dataclass(frozen=True)
class Shape:
    """A model: all parameters, width, layers, vocabulary."""

    parameters: int
    width: int
    layers: int
    vocabulary: int = USUAL_VOCABULARY


def shape_of(parameters: int, config: Mapping[str, Any]) -> Shape:
    """The shape that config.json tells, else that of a Llama of this size: layers = width / 128, parameters =
    12 x layers x width squared."""
    width = config.get("hidden_size") or (parameters * 128 / 12) ** (1 / 3)
    layers = config.get("num_hidden_layers") or max(1, width / 128)
    return Shape(parameters, int(width), int(layers), int(config.get("vocab_size") or USUAL_VOCABULARY))


def held_bytes(shape: Shape, values: Mapping[str, Any], on_gpu: bool) -> float:
    """Weights, gradients and moments on one device: what is there in any case."""
    if values["method"] == "full":
        held: float = shape.parameters * TRAINED_BYTES
        # The reference is a second copy.
        held += shape.parameters * REFERENCE_BYTES if is_dpo(values) else 0
    else:
        wide = _value_bytes(values, on_gpu)
        frozen = QUANTIZED_BYTES.get(values["quantization"], wide)
        held = shape.parameters * frozen + _adapter(shape, values) * TRAINED_BYTES
        if frozen != wide:
            # The embedding and the last layer stay as they are.
            held += 2 * shape.vocabulary * shape.width * (wide - frozen)
    many = values["devices"] if values["distributed"] == "fsdp" and values["devices"] != "auto" else 1
    return held / many


def memory_bytes(shape: Shape, facts: Mapping[str, Any], values: Mapping[str, Any], on_gpu: bool) -> int:
    """All that training takes on one device, at its longest batch."""
    row = min(facts["max_tokens"], values["max_seq_len"])
    row = values["max_seq_len"] if values.get("packing") else row
    # DPO reads each pair as two rows.
    rows = values["batch_size"] * (2 if is_dpo(values) else 1)
    tokens = rows * max(1, row)
    each = shape.width * _value_bytes(values, on_gpu)
    checkpointed = values["gradient_checkpointing"] == "yes" or (
        on_gpu and values["gradient_checkpointing"] == "auto"
    )
    kept = (shape.layers + KEPT_VALUES) if checkpointed else shape.layers * KEPT_VALUES
    answers = min(tokens, rows * (facts.get("answer_tokens") or row))
    logits = answers * shape.vocabulary * LOGIT_BYTES
    return int(held_bytes(shape, values, on_gpu) + tokens * each * kept + logits)


def _value_bytes(values: Mapping[str, Any], on_gpu: bool) -> int:
    narrow = values["precision"] == "bf16" or (on_gpu and values["precision"] == "auto")
    return 2 if narrow else 4


def _adapter(shape: Shape, values: Mapping[str, Any]) -> float:
    return float(shape.layers * values["lora_r"] * ADAPTED_WIDTHS * shape.width)


@lru_cache
def room() -> tuple[str, int]:
    """(GPU or MAIN, bytes) of what training has here: the largest NVIDIA GPU, else the main memory."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            answer = None
        sizes = [int(line) for line in (answer.stdout.split() if answer else ()) if line.isdigit()]
        if sizes:
            return GPU, max(sizes) * 2**20
    return MAIN, psutil.virtual_memory().total
