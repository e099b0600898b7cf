"""The hyperparameters of the built-in trainer, in the order of the forms. The defaults are the published recipe."""

from app import preferences
from app.hyperparameters import Hyperparameter
from app.trainers._fields import shared, worded
from app.trainers._prediction import AT_ONCE, DECODING, PREDICTOR, SCHEMA

SCHEDULES = ("cosine", "linear", "constant")

STARTER = (
    Hyperparameter(
        "epochs", "Epochs", "int", 12, "How often training goes through all items.",
        minimum=1, maximum=1000, simple=True,
    ),
    Hyperparameter(
        "learning_rate", "Learning rate", "float", 2e-3, "The highest step size, reached after the warm-up.",
        minimum=1e-7, maximum=1.0, simple=True,
    ),
    Hyperparameter(
        "batch_size", "Batch size", "int", 32, "Items per step; items of like length go together.",
        unit="items", minimum=1, maximum=4096, simple=True,
    ),
    Hyperparameter(
        "row_loss_weight", "Loss on the whole row", "float", 0.3,
        "Added to the loss on the answer: this much times the loss on every token of the row.",
        minimum=0, maximum=100,
    ),
    Hyperparameter(
        "vocabulary", "Vocabulary", "int", 1024, "Tokens of the tokenizer that is made from the train split.",
        unit="tokens", minimum=300, maximum=65536,
    ),
    Hyperparameter(
        "max_seq_len", "Context", "int", 512, "Longest row; longer ones lose their beginning.",
        unit="tokens", minimum=32, maximum=8192,
    ),
    Hyperparameter(
        "schedule", "Schedule", "choice", "cosine", "How the learning rate falls after the warm-up.",
        choices=SCHEDULES,
    ),
    Hyperparameter(
        "warmup_ratio", "Warm-up", "float", 0.1, "Part of all steps over which the learning rate rises.",
        minimum=0, maximum=1,
    ),
    Hyperparameter(
        "weight_decay", "Weight decay", "float", 0.1, "AdamW; not on norms and embeddings.",
        minimum=0, maximum=10,
    ),
    Hyperparameter("adam_beta1", "Adam beta 1", "float", 0.9, minimum=0, maximum=0.9999),
    Hyperparameter("adam_beta2", "Adam beta 2", "float", 0.98, minimum=0, maximum=0.99999),
    Hyperparameter(
        "max_grad_norm", "Gradient clip", "float", 1.0, "Largest norm of the gradient.",
        minimum=0.001, maximum=1000,
    ),
    Hyperparameter(
        "shuffle", "Shuffle", "bool", True,
        "yes: a new order in every epoch, by seed. no: the order of the file, in every epoch.",
    ),
    AT_ONCE,
    DECODING,
    SCHEMA,
)  # fmt: skip

HUGGING_FACE = (
    *shared("method", "epochs", "learning_rate", "batch_size", "gradient_accumulation"),
    *shared("lora_r", "lora_alpha", "lora_dropout", "lora_targets", "use_dora"),
    Hyperparameter(
        "use_rslora", "rsLoRA", "bool", False, "Scales the update by alpha / square root of r: for high ranks.",
    ),
    worded(
        "quantization",
        "QLoRA: the frozen base in 8 bits, or in 4 (NF4, constants quantized too). Needs bitsandbytes.",
    ),
    worded("max_seq_len", "Longer rows lose their beginning."),
    *shared("schedule", "warmup_ratio", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm"),
    worded(
        "packing",
        "Short rows fill up one of the longest length, none seeing another; a batch is then so many full rows, so "
        "that there are fewer steps.", only=preferences.SFT,
    ),
    Hyperparameter(
        "padding_free", "Without padding", "choice", "auto",
        "The rows of a batch stand one behind the other, none seeing another: the same steps without padding. "
        "auto: yes on a GPU; on a CPU it only costs time.",
        choices=("auto", "yes", "no"), only=preferences.SFT,
    ),
    Hyperparameter(
        "group_by_length", "Rows of like length together", "bool", True,
        "Less padding; batches still come in random order. Without shuffling and with packing it does nothing.",
        only=preferences.SFT,
    ),
    *shared("precision", "gradient_checkpointing"),
    Hyperparameter(
        "attention", "Attention", "choice", "auto",
        "auto: FlashAttention where it is installed (GPU, bf16), else PyTorch's own.",
        choices=("auto", "sdpa", "flash_attention_2", "eager"),
    ),
    Hyperparameter(
        "liger_kernel", "Liger kernels", "choice", "auto",
        "Faster norms and activations. auto: on a GPU where liger-kernel is installed.",
        choices=("auto", "yes", "no"), only=preferences.SFT,
    ),
    Hyperparameter(
        "torch_compile", "torch.compile", "choice", "auto",
        "Compiles the model; takes minutes at first, and again for new lengths. auto: no.",
        choices=("auto", "yes", "no"),
    ),
    Hyperparameter(
        "devices", "Devices", "choice", "auto",
        "GPUs (on a CPU: processes) that share every step: the result is the same with any number. auto: as many GPUs "
        "as can share a step evenly; one process on a CPU.",
        choices=("auto", 1, 2, 3, 4, 5, 6, 7, 8),
    ),
    Hyperparameter(
        "distributed", "Several devices", "choice", "ddp",
        "ddp: each device holds the whole model. fsdp: each holds a part, for models that fit on none.",
        choices=("ddp", "fsdp"),
    ),
    Hyperparameter(
        "early_stopping_patience", "Early stopping", "int", 0,
        "Stops after so many epochs without a lower validation loss and takes the best epoch's weights. 0: never.",
        unit="epochs", minimum=0, maximum=1000,
    ),
    Hyperparameter(
        "shuffle", "Shuffle", "bool", True,
        "yes: a new order in every epoch, by seed. no: the order of the file, in every epoch.",
    ),
    AT_ONCE,
    DECODING,
    SCHEMA,
    PREDICTOR,
)  # fmt: skip


def hyperparameters(model_id: str) -> tuple[Hyperparameter, ...]:
    """The fields of a starter or of a Hugging Face model; these learn from preferences too."""
    if model_id.startswith("starter/"):
        return STARTER
    return (*HUGGING_FACE[:1], *preferences.fields(), *HUGGING_FACE[1:])
