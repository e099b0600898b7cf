"""Values chosen for the data, named sets of values, and what would go wrong. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from app.preferences import DPO, is_dpo
from app.preferences import LORA_RATE as DPO_RATE
from app.trainers import _prediction
from app.trainers.builtin.estimate import shape_known
from app.trainers.builtin.fields import hyperparameters
from app.trainers.builtin.memory import GPU, held_bytes, memory_bytes, room

# Fewer steps leave the weights half trained, more bring little on short answers.
FEWEST_STEPS, MOST_STEPS = 300, 4000
FEWEST_EPOCHS, MOST_EPOCHS = 2, 60
LONGEST_STARTER, LONGEST_ROW = 2048, 4096
FEWEST_ITEMS = 10
SHORT_ANSWERS = ("classification", "number")
LORA_RATE, FULL_RATE = 2e-4, 2e-5


def suggest(model_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every hyperparameter, by the size and the lengths of the data."""
    values = {field.name: field.default for field in hyperparameters(model_id)}
    batch = values["batch_size"] * values.get("gradient_accumulation", 1)
    values["epochs"] = _epochs(values["epochs"], math.ceil(max(1, facts["train_items"]) / batch))
    longest = int(facts["max_tokens"] or 0)
    if model_id.startswith("starter/"):
        values["max_seq_len"] = _room(longest, 512, LONGEST_STARTER)
        if model_id == "starter/small":
            values["learning_rate"] = 1.5e-3
        if facts["task"] not in SHORT_ANSWERS:
            values["vocabulary"] = 2048
    else:
        values["max_seq_len"] = _room(longest, 256, LONGEST_ROW)
    values["answer_schema"] = facts.get("answer_schema") or ""
    return values


def _epochs(usual: int, steps_per_epoch: int) -> int:
    """The usual number, more where few items would make too few steps, fewer where many make too many."""
    wanted = min(max(usual * steps_per_epoch, FEWEST_STEPS), MOST_STEPS) / steps_per_epoch
    return int(min(max(math.ceil(wanted), FEWEST_EPOCHS), MOST_EPOCHS))


def _room(longest: int, least: int, most: int) -> int:
    """The power of two that holds `longest` tokens with a tenth to spare: the count is an estimate."""
    return min(max(2 ** math.ceil(math.log2(max(1.1 * longest, 1))), least), most)


def presets(model_id: str) -> dict[str, dict[str, Any]]:
    """LoRA of three sizes and full fine-tuning for Hugging Face models; quick and long for a starter."""
    if model_id.startswith("starter/"):
        return {"quick look, 3 epochs": {"epochs": 3}, "long, 24 epochs": {"epochs": 24}}
    return {
        "LoRA r 8, alpha 32": _lora(8, 32),
        "LoRA r 16, alpha 32": _lora(16, 32),
        "LoRA r 32, alpha 64": _lora(32, 64),
        "QLoRA 4 bit, r 16, alpha 32": {**_lora(16, 32), "quantization": "4bit"},
        "DoRA r 16, alpha 32": {**_lora(16, 32), "use_dora": True},
        "Full fine-tuning": {
            "method": "full",
            "learning_rate": FULL_RATE,
            "weight_decay": 0.01,
            "quantization": "none",
            "use_dora": False,
        },
        "DPO, LoRA r 16, alpha 32": {**_lora(16, 32), "objective": DPO, "learning_rate": DPO_RATE},
    }


def _lora(r: int, alpha: int) -> dict[str, Any]:
    return {
        "method": "lora", "lora_r": r, "lora_alpha": alpha, "learning_rate": LORA_RATE, "quantization": "none",
        "use_dora": False,
    }  # fmt: skip


def problems(model_id: str, facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What would go wrong, as sentences; empty when it can be launched."""
    label = model_id.partition("/")[2]
    found = _prediction.problems(label, facts["task"], values)
    if model_id.startswith("starter/") and facts["train_items"] < FEWEST_ITEMS:
        found.append(
            f"{model_id} has {facts['train_items']} training items and needs at least {FEWEST_ITEMS}: "
            "it starts from nothing. Add items, or take a baseline."
        )
    if facts["max_tokens"] > values["max_seq_len"]:
        found.append(
            f"{label}: the longest row has about {facts['max_tokens']:,} tokens, more than the context of "
            f"{values['max_seq_len']:,}, and would be cut. Raise the context, or shorten the row."
        )
    if not model_id.startswith("starter/"):
        found += [f"{label}: {sentence}" for sentence in _at_odds(facts, values)]
        found += _too_large(model_id, facts, values)
    return found


def _at_odds(facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Values that do not go together, which the training process would refuse too."""
    found = []
    if is_dpo(values) and "lm_head" in values["lora_targets"]:
        found.append(
            "DPO reads the last layer itself and cannot adapt it. Take lm_head out of the LoRA targets."
        )
    if values["method"] == "full":
        names = ("quantization", "DoRA", "rsLoRA")
        on = (values["quantization"] != "none", values["use_dora"], values["use_rslora"])
        for name in (name for name, wanted in zip(names, on, strict=True) if wanted):
            found.append(f"{name} goes with method lora, not with full. Change one of the two.")
    if values["quantization"] != "none" and values["distributed"] == "fsdp":
        found.append("A quantized base cannot be spread by fsdp. Set several devices to ddp.")
    watched = (facts.get("rejected") or {}).get("validation") if is_dpo(values) else facts["validation_items"]
    if values["early_stopping_patience"] and not watched:
        pairs = " with rejected answers" if is_dpo(values) else ""
        found.append(
            f"Early stopping needs a validation part{pairs}. Take a split that has one, or set it to 0."
        )
    devices, step = values["devices"], values["batch_size"] * values["gradient_accumulation"]
    if devices != "auto" and step % devices:
        found.append(
            f"{devices} devices cannot share a step of {step} items evenly. Make batch size times gradient "
            f"accumulation a multiple of {devices}."
        )
    return found


def _too_large(model_id: str, facts: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """A model whose weights alone do not fit where it trains: `memory_bytes` of the facts, None where that is not
    known, else this machine."""
    shape, (place, there) = shape_known(model_id), room()
    on_gpu = place == GPU
    if "memory_bytes" in facts:
        # Machines that are asked for elsewhere are asked for their GPU.
        place, there, on_gpu = "place where it trains", facts["memory_bytes"], True
    if shape is None or there is None or held_bytes(shape, values, on_gpu) <= there:
        return []
    needed = memory_bytes(shape, facts, values, on_gpu)
    ways = [] if values["quantization"] == "4bit" else ["quantization 4bit"]
    way = ", ".join(["Take a smaller model", *(["method lora"] if values["method"] == "full" else ways)])
    return [
        f"{model_id.partition('/')[2]}: training takes about {needed / 1e9:,.0f} GB of memory, and the {place} has "
        f"{there / 1e9:,.0f} GB. {way} or a larger machine."
    ]
