"""The hyperparameters that trainers share, each under one name and with one meaning. Used by the built-in trainer and by
toolkits."""

from dataclasses import replace
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._prediction import AT_ONCE, DECODING, FREE, LABELS

SHARED = (
    Hyperparameter(
        "method", "Method", "choice", "lora", "lora trains small added matrices, full trains every weight.",
        choices=("lora", "full"), simple=True,
    ),
    Hyperparameter(
        "epochs", "Epochs", "int", 3, "How often training goes through all items.",
        minimum=1, maximum=1000, simple=True,
    ),
    Hyperparameter(
        "learning_rate", "Learning rate", "float", 2e-4, "2e-4 is usual for LoRA, 2e-5 for full fine-tuning.",
        minimum=1e-8, maximum=1.0, simple=True,
    ),
    Hyperparameter(
        "batch_size", "Batch size", "int", 8, "Items in memory at once.",
        unit="items", minimum=1, maximum=1024, simple=True,
    ),
    Hyperparameter(
        "gradient_accumulation", "Gradient accumulation", "int", 2,
        "Batches per step: the effective batch is this times the batch size.", minimum=1, maximum=1024,
    ),
    Hyperparameter("lora_r", "LoRA rank r", "int", 16, minimum=1, maximum=1024, simple=True),
    Hyperparameter(
        "lora_alpha", "LoRA alpha", "int", 32, "The update is scaled by alpha / r.",
        minimum=1, maximum=4096, simple=True,
    ),
    Hyperparameter("lora_dropout", "LoRA dropout", "float", 0.0, minimum=0, maximum=0.9),
    Hyperparameter(
        "lora_targets", "LoRA targets", "text", "all-linear",
        "all-linear, or names of layers apart by commas, for example q_proj, v_proj.",
    ),
    Hyperparameter(
        "use_dora", "DoRA", "bool", False,
        "LoRA that learns direction and magnitude of the weights apart: often a little better, slower.",
    ),
    Hyperparameter(
        "quantization", "Quantization", "choice", "none", "The frozen base in fewer bits (QLoRA); needs a GPU.",
        choices=("none", "8bit", "4bit"),
    ),
    Hyperparameter(
        "max_seq_len", "Longest row", "int", 1024, "Longer rows are cut.",
        unit="tokens", minimum=16, maximum=131072,
    ),
    Hyperparameter("schedule", "Schedule", "choice", "cosine", choices=("cosine", "linear", "constant")),
    Hyperparameter(
        "warmup_ratio", "Warm-up", "float", 0.1, "Part of all steps over which the learning rate rises.",
        minimum=0, maximum=1,
    ),
    Hyperparameter("weight_decay", "Weight decay", "float", 0.0, minimum=0, maximum=10),
    Hyperparameter("adam_beta1", "Adam beta 1", "float", 0.9, minimum=0, maximum=0.9999),
    Hyperparameter("adam_beta2", "Adam beta 2", "float", 0.999, minimum=0, maximum=0.99999),
    Hyperparameter("max_grad_norm", "Gradient clip", "float", 1.0, minimum=0.001, maximum=1000),
    Hyperparameter(
        "packing", "Packing", "bool", False, "Several short rows in one of the longest length.",
    ),
    Hyperparameter(
        "precision", "Precision", "choice", "auto", "auto: bf16 on a GPU, fp32 on a CPU.",
        choices=("auto", "bf16", "fp32"),
    ),
    Hyperparameter(
        "gradient_checkpointing", "Gradient checkpointing", "choice", "auto",
        "Saves memory, costs about a third more time. auto: on with a GPU, off on a CPU.",
        choices=("auto", "yes", "no"),
    ),
    AT_ONCE,
    # A toolkit's environment holds nothing that follows a schema.
    replace(DECODING, choices=(FREE, LABELS)),
)  # fmt: skip
# Toolkits on Transformers' trainer have it.
NEFTUNE = Hyperparameter(
    "neftune_noise_alpha", "NEFTune noise", "float", 0.0, "Noise on the embeddings while training; 0: none.",
    minimum=0, maximum=100,
)  # fmt: skip


def shared(*names: str) -> tuple[Hyperparameter, ...]:
    """Those of that name, in the order of the names."""
    known = {shape.name: shape for shape in SHARED}
    return tuple(known[name] for name in names)


def worded(name: str, help_text: str, **more: Any) -> Hyperparameter:
    """The shared one of that name, explained as one trainer does it."""
    return replace(shared(name)[0], help=help_text, **more)
