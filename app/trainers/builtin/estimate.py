"""How long a run will take and how much memory, before it starts. Rates were measured; see each constant."""

import json
import math
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config import settings
from app.preferences import is_dpo
from app.trainers.builtin.memory import GPU, Shape, memory_bytes, room, shape_of

# Starter: trained tokens per second on one core, by model.
STARTER_RATE = {"starter/tiny": 9500.0, "starter/small": 5500.0}
# A second core adds this part of the first: short batches do not share well.
SECOND_CORE = 0.7
# The starter's tokenizer is made for the data: so many of its tokens per estimated token.
OWN_TOKENS = 0.78
STARTER_START_SECONDS, STARTER_ITEMS_PER_SECOND = 7.0, 120.0
HF_START_SECONDS = 20.0
# Useful floating-point operations per second: one CPU core in fp32, one data-centre GPU in bf16.
CORE_FLOPS, GPU_FLOPS = 3e10, 1.2e14
# Forward, backward and weight gradients of one token, per parameter; LoRA leaves most of the last out.
FULL_FLOPS, LORA_FLOPS, PREDICT_FLOPS = 6, 4, 2
SIZE_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)\s*([bm])(?![A-Za-z0-9])", re.IGNORECASE)


def estimate(
    model_id: str, facts: Mapping[str, Any], values: Mapping[str, Any], cores: int
) -> dict[str, Any]:
    """{"tokens": trained tokens, "seconds": float or None, "memory_bytes": int or None} for one seed."""
    length = min(facts["mean_tokens"] or 1, values["max_seq_len"])
    # DPO reads a pair as two rows.
    items = 2 * (facts.get("rejected") or {}).get("train", 0) if is_dpo(values) else facts["train_items"]
    tokens = int(length * items * values["epochs"])
    if model_id.startswith("starter/"):
        seconds = _starter_seconds(model_id, facts, tokens * OWN_TOKENS, cores)
        return {"tokens": int(tokens * OWN_TOKENS), "seconds": seconds, "memory_bytes": None}
    shape = shape_known(model_id)
    if shape is None:
        return {"tokens": tokens, "seconds": None, "memory_bytes": None}
    flops = _speed(cores)
    per_token = LORA_FLOPS if values["method"] == "lora" else FULL_FLOPS
    # And asks the base model about both too.
    per_token += PREDICT_FLOPS if is_dpo(values) else 0
    tested = length * facts["test_items"] * PREDICT_FLOPS
    return {
        "tokens": tokens,
        "seconds": HF_START_SECONDS + shape.parameters * (tokens * per_token + tested) / flops,
        "memory_bytes": memory_bytes(shape, facts, values, room()[0] == GPU),
    }


def _starter_seconds(model_id: str, facts: Mapping[str, Any], tokens: float, cores: int) -> float:
    speed = 1 + SECOND_CORE * math.log2(max(1, min(cores, 8)))
    rate = STARTER_RATE.get(model_id, STARTER_RATE["starter/small"])
    predicted = facts["test_items"] / STARTER_ITEMS_PER_SECOND
    return STARTER_START_SECONDS + (tokens / rate + predicted) / speed


def _speed(cores: int) -> float:
    return GPU_FLOPS if Path("/proc/driver/nvidia/version").exists() else CORE_FLOPS * max(1, cores)


def parameters(model_id: str) -> int | None:
    """Parameters of hf/<name or folder>: counted in the folder's weights, else read off the name ("0.5B")."""
    name = model_id.partition("/")[2]
    folder = _folder(name)
    if folder is not None:
        return sum(_count(file) for file in sorted(folder.glob("*.safetensors"))) or None
    sizes = SIZE_IN_NAME.findall(name.replace("-", " ").replace("_", " "))
    if not sizes:
        return None
    number, unit = sizes[-1]
    return int(float(number) * (1e9 if unit.lower() == "b" else 1e6))


def shape_known(model_id: str) -> Shape | None:
    """The shape of hf/<name or folder>, exact where its config.json is at hand; None where its size is not known."""
    size = parameters(model_id)
    if size is None:
        return None
    folder = _folder(model_id.partition("/")[2])
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        config = {}
    return shape_of(size, config)


def _folder(name: str) -> Path | None:
    roots = [root.expanduser().resolve() for root in settings().model_dirs]
    for root in roots:
        path = Path(os.path.normpath(root / Path(name).expanduser()))
        if path.is_relative_to(root) and path.is_dir():
            return path
    return None


def _count(file: Path) -> int:
    """Elements of all tensors, from the header of a safetensors file: 8 bytes of length, then JSON."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, 100_000_000)))
    except (OSError, ValueError, struct.error):
        return 0
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
