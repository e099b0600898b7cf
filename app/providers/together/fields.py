"""What a training at Together can be told, within the bounds of the model, and what is suggested. Used by this folder."""

from collections.abc import Mapping
from typing import Any

from app import preferences
from app.hyperparameters import Hyperparameter
from app.preferences import SFT
from app.providers._shapes import Offer
from app.service_json import mapping, number, whole


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """Every value that is sent; bounds are those of look_at_model(), as far as they are known."""
    return (*_main(offer), *preferences.fields(), *_schedule(), *_course(offer), *_newer(offer))


def _main(offer: Offer) -> list[Hyperparameter]:
    limits, lora = offer.limits, mapping(offer.limits, "lora_training")
    rank = whole(lora, "default_rank") or 8
    least_batch, most_batch = whole(lora, "min_batch_size") or 1, whole(lora, "max_batch_size")
    # fmt: off
    return [
        Hyperparameter("epochs", "Epochs", "int", 3, "How often training goes through all items.",
                       minimum=1, maximum=whole(limits, "max_num_epochs"), simple=True),
        Hyperparameter("learning_rate", "Learning rate", "float", 1e-4, "The highest rate of the schedule.",
                       minimum=number(limits, "min_learning_rate") or 0.0,
                       maximum=number(limits, "max_learning_rate") or 1.0, simple=True),
        Hyperparameter("batch_size", "Batch size", "int", least_batch if lora else 8,
                       "Items, or packed sequences, for each step.", minimum=least_batch, maximum=most_batch),
        Hyperparameter("lora_r", "LoRA rank r", "int", rank, minimum=1,
                       maximum=whole(lora, "max_rank"), simple=True),
        Hyperparameter("lora_alpha", "LoRA alpha", "int", 2 * rank, minimum=1, maximum=1024),
        Hyperparameter("lora_dropout", "LoRA dropout", "float", 0.0, minimum=0.0, maximum=0.99),
        Hyperparameter("lora_targets", "LoRA targets", "text", "all-linear",
                       f"all-linear, or names with commas: {_targets(lora)}."),
    ]
    # fmt: on


def _schedule() -> list[Hyperparameter]:
    # fmt: off
    return [
        Hyperparameter("warmup_ratio", "Warm-up", "float", 0.05,
                       "Part of all steps over which the learning rate rises.", minimum=0.0, maximum=1.0),
        Hyperparameter("lr_schedule", "Schedule", "choice", "cosine", choices=("cosine", "linear")),
        Hyperparameter("min_lr_ratio", "Last learning rate", "float", 0.0,
                       "As a part of the highest.", minimum=0.0, maximum=1.0),
        Hyperparameter("lr_cycles", "Cosine cycles", "float", 0.5, "0.5: falls once.", minimum=0.01, maximum=100),
        Hyperparameter("weight_decay", "Weight decay", "float", 0.0, minimum=0.0, maximum=1.0),
        Hyperparameter("max_grad_norm", "Gradient clipping", "float", 1.0, "0: none.", minimum=0.0, maximum=1000),
    ]
    # fmt: on


def _course(offer: Offer) -> list[Hyperparameter]:
    limits = offer.limits
    # fmt: off
    return [
        Hyperparameter("max_seq_len", "Longest sequence", "int", 4096, "Longer items are cut.", "tokens",
                       minimum=whole(limits, "min_max_seq_length") or 32,
                       maximum=whole(limits, "max_seq_length_sft")),
        Hyperparameter("packing", "Packing", "bool", True, "Several short items in one sequence."),
        Hyperparameter("evals", "Evaluations", "int", 0, "On the validation part; each is billed.",
                       minimum=0, maximum=whole(limits, "max_num_evals")),
        Hyperparameter("checkpoints", "Checkpoints", "int", 1, minimum=1,
                       maximum=whole(limits, "max_num_checkpoints")),
        Hyperparameter("train_on_inputs", "Learn the prompts too", "bool", False, only=SFT),
    ]
    # fmt: on


def _newer(offer: Offer) -> list[Hyperparameter]:
    """What the published description does not have: known where the limits name it."""
    steps = whole(offer.limits, "default_gradient_accumulation_steps")
    if steps is None:
        return []
    # fmt: off
    return [
        Hyperparameter("gradient_accumulation", "Gradient accumulation", "int", max(steps, 1), minimum=1, maximum=1024),
        Hyperparameter("early_stopping", "Stop early", "bool", False,
                       "Once two evaluations in a row bring no better loss; the best step is kept."),
    ]
    # fmt: on


def _targets(lora: Mapping[str, Any]) -> str:
    names = lora.get("target_modules")
    return ", ".join(map(str, names)) if isinstance(names, list) and names else "q_proj, v_proj"


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each hyperparameter: more epochs for little data, a sequence that holds the longest item, one
    evaluation an epoch where there is a validation part."""
    fields = {field.name: field for field in hyperparameters(offer)}
    values = {name: field.default for name, field in fields.items()}
    items = int(facts.get("train_items") or 0)
    values["epochs"] = 5 if items < 500 else 3 if items < 10_000 else 1
    # Estimated tokens may be a quarter off, and the template adds its own.
    longest = int(1.25 * int(facts.get("max_tokens") or 0)) + 64
    values["max_seq_len"] = max(512, 1 << (longest - 1).bit_length())
    values["evals"] = values["epochs"] if facts.get("validation_items") else 0
    return {name: _within(fields[name], value) for name, value in values.items()}


def _within(field: Hyperparameter, value: Any) -> Any:
    if field.kind not in ("int", "float"):
        return value
    least = value if field.minimum is None else max(value, field.minimum)
    best = least if field.maximum is None else min(least, field.maximum)
    return int(best) if field.kind == "int" else best


# What the published description says is taken where no arguments are sent.
COSINE_DEFAULTS = {"min_lr_ratio": 0.0, "num_cycles": 0.5}


def scheduler(values: Mapping[str, Any]) -> dict[str, Any]:
    """The learning rate's schedule. The published description wants the arguments to be those of one schedule alone, and
    those of cosine are also good ones of linear: at their published defaults they are left out."""
    found: dict[str, Any] = {"lr_scheduler_type": values["lr_schedule"]}
    arguments = {"min_lr_ratio": values["min_lr_ratio"]}
    if values["lr_schedule"] == "cosine":
        arguments["num_cycles"] = values["lr_cycles"]
        if arguments == COSINE_DEFAULTS:
            return found
    return {**found, "lr_scheduler_args": arguments}
