"""Trains a Hugging Face model on preferences with TRL's DPOTrainer (direct preference optimization). Called by hub_sft.py.

The reference is the base model: the one under the adapter with LoRA, a second copy when every weight is trained.
"""

import math
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import write_json
from .hub_best import BestWeights
from .hub_chat import ChatEncoder
from .hub_model import load_base, lora_config
from .hub_sft import describe, save, weights_dtype
from .hub_training import (
    Watcher,
    arguments,
    callback,
    earlier_spending,
    is_first,
    newest_checkpoint,
)
from .job import Job
from .machine import write_usage
from .preview import SHOWN, segments
from .reporting import Reporter

Pair = dict[str, list[int]]
SUPERVISED_ONLY = ("packing", "padding_free", "group_by_length", "liger_kernel")
# Values of TRL that are the same for every run: the loss as it was published, with no variant mixed in.
FIXED: dict[str, Any] = {
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "label_smoothing": 0.0,
    "f_divergence_type": "reverse_kl",
    "ld_alpha": None,
    "use_weighting": False,
    "sync_ref_model": False,
    "precompute_ref_log_probs": False,
    # Pairs come as tokens already and cut, so that training and asking see the same ones.
    "max_length": None,
    "truncation_mode": "keep_start",
    "padding_free": False,
    "activation_offloading": False,
    # Kernels that replace the last layer do not go together with TRL's own, which gives the log-probabilities.
    "use_liger_kernel": False,
    "liger_kernel_config": None,
}


def train(job: Job, reporter: Reporter, values: dict[str, Any], encoder: ChatEncoder, saved: Path) -> None:
    """Trains to the end from the newest checkpoint and makes the folder `saved`, as hub_sft.train does."""
    found, held_out = pairs(encoder, job.train), pairs(encoder, job.validation)
    if not found:
        raise Failure(
            "No training item has a rejected answer, and DPO learns from pairs of answers.",
            "Take a data set with rejected answers, or the objective sft.",
        )
    if is_first():
        _preview(job, encoder, found)
    _tell(job, reporter, found, held_out)
    checkpoint = newest_checkpoint(job.out / "checkpoints")
    best = BestWeights(job.out / "checkpoints" / "best", values["early_stopping_patience"])
    watch = Watcher(job, reporter, earlier_spending(checkpoint), best)
    trainer = _trainer(job, values, encoder, (found, held_out), watch)
    ran = {name: value for name, value in values.items() if name not in SUPERVISED_ONLY}
    describe(
        job, reporter, ran, trainer.model, loss="DPO (sigmoid)", reference="base model", pairs=len(found)
    )
    reporter.progress("training", 0.0, "the first step is the slowest")
    if checkpoint:
        reporter.log(f"goes on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best.restore(trainer.model, reporter)
    spent = watch.spent()
    tokens = trainer.state.epoch * sum(map(_tokens, found))
    if is_first():
        write_usage(job.out, spent["train_seconds"], round(tokens), spent["energy_joules"])
    reporter.log(f"trained on {tokens:,.0f} tokens in {spent['train_seconds']:.1f} s")
    save(job, trainer, encoder, saved)


def pairs(encoder: ChatEncoder, rows: list[dict[str, Any]]) -> list[Pair]:
    """The rows that have a rejected answer, as tokens; the others are left out."""
    return [encoder.pair(row) for row in rows if row.get("rejected")]


def _tokens(pair: Pair) -> int:
    """A pair is read as two rows."""
    return 2 * len(pair["prompt_ids"]) + len(pair["chosen_ids"]) + len(pair["rejected_ids"])


def _preview(job: Job, encoder: ChatEncoder, found: list[Pair]) -> None:
    """The first wanted rows, as write_preview shows them."""
    names = [row["item"] for row in job.train if row.get("rejected")]
    shown = []
    for name, pair in zip(names[:SHOWN], found, strict=False):
        ids = pair["prompt_ids"] + pair["chosen_ids"]
        marks = [False] * len(pair["prompt_ids"]) + [True] * len(pair["chosen_ids"])
        parts = segments(encoder.tokenizer, ids, marks)
        shown.append({"item": name, "tokens": len(ids), "segments": parts})
    write_json(job.out / "preview.json", shown)


def _tell(job: Job, reporter: Reporter, found: list[Pair], held_out: list[Pair]) -> None:
    reporter.log(f"learns from {len(found):,} pairs of answers")
    for part, rows, there in (("training", job.train, found), ("validation", job.validation, held_out)):
        if len(there) < len(rows):
            reporter.log(f"{len(rows) - len(there):,} {part} items have no rejected answer and are left out")


def steps_in_all(count: int, values: dict[str, Any]) -> int:
    """Optimizer steps of the whole training over `count` pairs."""
    batches = math.ceil(count / values["batch_size"])
    return math.ceil(batches / values["gradient_accumulation"]) * int(values["epochs"])


def _trainer(
    job: Job,
    values: dict[str, Any],
    encoder: ChatEncoder,
    data: tuple[list[Pair], list[Pair]],
    watch: Watcher,
) -> Any:
    from datasets import Dataset
    from transformers import set_seed
    from trl import DPOConfig, DPOTrainer

    class Prepared(DPOTrainer):  # type: ignore[misc, valid-type]
        """Takes pairs that are tokens already."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    found, held_out = data
    lora = values["method"] == "lora"
    # The adapter's first weights are drawn from the seed too.
    set_seed(job.seed)
    mine = {
        **FIXED,
        "beta": values["dpo_beta"],
        # Dropout makes the reference vary, and TRL switches it off: here only where none was asked for.
        "disable_dropout": not values.get("lora_dropout"),
        "gradient_checkpointing": values["gradient_checkpointing"],
        "remove_unused_columns": True,
        "train_sampling_strategy": "random" if values["shuffle"] else "sequential",
        "eval_strategy": "epoch" if held_out else "no",
    }
    args = DPOConfig(**{**arguments(job, values, steps_in_all(len(found), values)), **mine})
    # More than one device is more than one process; without this the Trainer would spread the model by threads.
    args._n_gpu = min(1, args.n_gpu)
    return Prepared(
        model=_base(job, values),
        ref_model=None if lora else _base(job, values),
        args=args,
        train_dataset=Dataset.from_list(found),
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        processing_class=encoder.tokenizer,
        peft_config=lora_config(values) if lora else None,
        callbacks=[callback(watch)],
    )


def _base(job: Job, values: dict[str, Any]) -> Any:
    base = load_base(job, weights_dtype(values), attn_implementation=values["attention"])
    base.config.use_cache = False
    if values.get("quantization", "none") == "none":
        return base
    from peft import prepare_model_for_kbit_training

    return prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
