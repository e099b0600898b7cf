"""Fine-tunes a Hugging Face model on the wanted answers, by LoRA or in full. Called by hub.py and, on several devices,
by every process of hub_ranks.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import write_folder
from .hub_best import BestWeights
from .hub_chat import ChatEncoder
from .hub_model import base_of, load_base, lora_config, name_base
from .hub_rows import steps_per_epoch
from .hub_training import (
    ADAM_EPSILON,
    Watcher,
    arguments,
    callback,
    earlier_spending,
    is_first,
    newest_checkpoint,
)
from .job import Job
from .machine import write_usage
from .predict import decoding
from .preview import write_preview
from .reporting import Reporter
from .starter_training import Row


def weights_dtype(values: dict[str, Any]) -> Any:
    """A frozen base may be bf16; weights that are trained stay fp32, or small updates would be rounded away."""
    import torch

    return torch.bfloat16 if values["precision"] == "bf16" and values["method"] == "lora" else torch.float32


def train(job: Job, reporter: Reporter, values: dict[str, Any], encoder: ChatEncoder, saved: Path) -> None:
    """Trains to the end from the newest checkpoint and makes the folder `saved`."""
    if values["objective"] == "dpo":
        from .hub_dpo import train as train_on_pairs

        return train_on_pairs(job, reporter, values, encoder, saved)
    rows = [row for row in map(encoder.row, job.train) if any(row[1][1:])]
    held_out = [row for row in map(encoder.row, job.validation) if any(row[1][1:])]
    if not rows:
        raise Failure("No training item has an answer to learn.", "Check the data set's answers.")
    if is_first():
        write_preview(job, encoder.tokenizer, rows)
    values = with_kernels(job, values)
    checkpoint = newest_checkpoint(job.out / "checkpoints")
    best = BestWeights(job.out / "checkpoints" / "best", values["early_stopping_patience"])
    watch = Watcher(job, reporter, earlier_spending(checkpoint), best)
    trainer = make_trainer(job, values, encoder.tokenizer.pad_token_id, (rows, held_out), watch)
    values = keep_apart(trainer, values, rows, reporter)
    describe(job, reporter, values, trainer.model)
    reporter.progress("training", 0.0, "the first step is the slowest")
    if checkpoint:
        reporter.log(f"goes on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best.restore(trainer.model, reporter)
    spent = watch.spent()
    tokens = trainer.state.epoch * sum(len(ids) for ids, _ in rows)
    if is_first():
        write_usage(job.out, spent["train_seconds"], round(tokens), spent["energy_joules"])
    reporter.log(f"trained on {tokens:,.0f} tokens in {spent['train_seconds']:.1f} s")
    save(job, trainer, encoder, saved)


def save(job: Job, trainer: Any, encoder: ChatEncoder, saved: Path) -> None:
    """The trained weights with the tokenizer, as a folder that is whole or not there."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Sharded weights are put together, which every process takes part in.
    whole = (
        {"state_dict": trainer.accelerator.get_state_dict(trainer.model)} if trainer.is_fsdp_enabled else {}
    )

    def fill(folder: Path) -> None:
        model.config.use_cache = True
        model.save_pretrained(folder, **whole)
        name_base(folder, str(base_of(job, model)["name"]))
        encoder.tokenizer.save_pretrained(folder)

    if is_first():
        write_folder(saved, fill)


def make_trainer(
    job: Job,
    values: dict[str, Any],
    pad: int,
    rows: tuple[list[Row], list[Row]],
    watch: Watcher,
    load: Callable[[Job, dict[str, Any]], Any] | None = None,
) -> Any:
    """The Trainer over (training rows, held-out rows), with the model that `load` gives (load_model where it is None)."""
    from transformers import TrainingArguments, set_seed

    from .hub_trainer import AnswerTrainer

    # The adapter's first weights are drawn from the seed too.
    set_seed(job.seed)
    given, held_out = rows
    total = steps_per_epoch([len(ids) for ids, _ in given], values, job.seed) * int(values["epochs"])
    measured = {"eval_strategy": "epoch" if held_out else "no"}
    args = TrainingArguments(**arguments(job, values, total) | measured)
    # More than one device is more than one process; without this the Trainer would spread the model by threads.
    args._n_gpu = min(1, args.n_gpu)
    return AnswerTrainer(
        model=(load or load_model)(job, values),
        args=args,
        callbacks=[callback(watch)],
        rows=given,
        held_out=held_out,
        values=values,
        pad=pad,
    )


def load_model(job: Job, values: dict[str, Any]) -> Any:
    """The base model ready to be trained: with an adapter, or whole."""
    base = load_base(job, weights_dtype(values), attn_implementation=attention_of(values))
    return ready(base, values)


def with_kernels(job: Job, values: dict[str, Any]) -> dict[str, Any]:
    """The values without Liger kernels where they do not know the model, which they would not say. Raises Failure where
    they were asked for."""
    if not values["liger_kernel"]:
        return values
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    from transformers import AutoConfig

    kind = AutoConfig.from_pretrained(job.model_path, trust_remote_code=False).model_type
    if kind in MODEL_TYPE_TO_APPLY_LIGER_FN:
        return values
    if job.values["liger_kernel"] == "yes":
        raise Failure(
            f"There are no Liger kernels for models of the kind {kind!r}.", "Set Liger kernels to auto or no."
        )
    return {**values, "liger_kernel": False}


def attention_of(values: dict[str, Any]) -> str:
    """The attention by the name that Transformers knows."""
    if values["padding_free"] and values["attention"] == "sdpa":
        from .hub_attention import register

        return register()
    return str(values["attention"])


def ready(base: Any, values: dict[str, Any]) -> Any:
    """A base model with what is trained of it: a fresh adapter, or all weights."""
    base.config.use_cache = False
    if values["method"] == "full":
        return base
    from peft import get_peft_model

    model = get_peft_model(base, lora_config(values))
    if values["gradient_checkpointing"]:
        model.enable_input_require_grads()
    return model


def keep_apart(trainer: Any, values: dict[str, Any], rows: list[Row], reporter: Reporter) -> dict[str, Any]:
    """Tries whether rows one behind the other stay apart in this model, before any is trained so: a model whose layers
    carry something from token to token (not by attention) would mix them. Then rows are padded instead, unless packing
    was asked for."""
    # Sharded weights are still on the processor here, where FlashAttention does not run; its rows stay apart.
    sharded = trainer.is_fsdp_enabled and values["attention"] == "flash_attention_2"
    if not values["padding_free"] or sharded:
        return values
    from .hub_attention import rows_stay_apart

    first, second = (ids[:64] for ids, _ in (rows[0], rows[-1]))
    if rows_stay_apart(trainer.model, first, second, values["precision"] == "bf16"):
        return values
    if values["packing"]:
        raise Failure(
            "This model mixes rows that stand one behind the other, so they cannot be packed.",
            "Set packing to no; rows of like length still go together.",
        )
    reporter.log("this model mixes rows that stand one behind the other: they are padded instead")
    trainer.values = {**values, "padding_free": False}
    return dict(trainer.values)


def describe(
    job: Job, reporter: Reporter, values: dict[str, Any], model: Any, loss: str = "answers only", **more: Any
) -> None:
    """out/resolved.json: everything that really ran; `more` as the objective has it."""
    everything = sum(part.numel() for part in model.parameters())
    trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
    values = {
        **values,
        "seed": job.seed,
        "optimizer": "AdamW",
        "adam_epsilon": ADAM_EPSILON,
        "base_weights": str(weights_dtype(values)).removeprefix("torch."),
        "loss": loss,
        **more,
    }
    reporter.resolved(
        values, decoding(job, values["predict_batch_size"]), everything, trained, base=base_of(job, model)
    )
