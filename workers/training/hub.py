"""Fine-tunes a Hugging Face model by LoRA or in full and predicts with what was saved. Called by __main__.py."""

import gc
import hashlib
import shutil
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import write_folder
from .hub_chat import ChatEncoder
from .hub_model import is_folder, load_base, load_tokenizer, lora_config, name_base
from .hub_predict import predict_parts
from .hub_training import (
    ADAM_EPSILON,
    Watcher,
    arguments,
    callback,
    dataset,
    earlier_spending,
    newest_checkpoint,
)
from .job import Job
from .machine import EnergyMeter, add_energy, write_environment, write_usage
from .predict import decoding
from .preview import write_preview
from .reporting import Reporter
from .starter_training import Row

PACKAGES = (
    "accelerate", "datasets", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl",
)  # fmt: skip


def run(job: Job, reporter: Reporter) -> None:
    """Trains unless the trained weights are there already, then predicts."""
    reporter.progress("preparing", 0.1, "loading PyTorch")
    import torch

    torch.set_num_threads(job.threads)
    on_gpu = torch.cuda.is_available()
    write_environment(job.out, job.threads, PACKAGES, torch.cuda.get_device_name() if on_gpu else None)
    values = _settle(job.values, on_gpu)
    saved = job.out / ("adapter" if values["method"] == "lora" else "model")
    reporter.progress("preparing", 0.4, "loading the model")
    tokenizer = load_tokenizer(job)
    encoder = ChatEncoder(tokenizer, values["max_seq_len"], job.train[0])
    if not saved.is_dir():
        _train(job, reporter, values, encoder, saved, on_gpu)
        # The trainer holds the model in a ring of references: two at once may not fit.
        gc.collect()
        torch.cuda.empty_cache()
    meter = EnergyMeter()
    predict_parts(job, reporter, values, encoder, saved, _dtype(values))
    add_energy(job.out, meter)
    shutil.rmtree(job.out / "checkpoints", ignore_errors=True)


def _settle(values: dict[str, Any], on_gpu: bool) -> dict[str, Any]:
    """The values with every "auto" decided, and without those that the method does not use."""
    settled = dict(values)
    if values["precision"] == "auto":
        settled["precision"] = "bf16" if on_gpu else "fp32"
    wanted = values["gradient_checkpointing"]
    settled["gradient_checkpointing"] = on_gpu if wanted == "auto" else wanted == "yes"
    if values["method"] == "full":
        settled = {name: value for name, value in settled.items() if not name.startswith("lora_")}
    return settled


def _dtype(values: dict[str, Any]) -> Any:
    """A frozen base may be bf16; weights that are trained stay fp32, or small updates would be rounded away."""
    import torch

    return torch.bfloat16 if values["precision"] == "bf16" and values["method"] == "lora" else torch.float32


def _train(
    job: Job, reporter: Reporter, values: dict[str, Any], encoder: ChatEncoder, saved: Path, on_gpu: bool
) -> None:
    rows = [row for row in map(encoder.row, job.train) if any(row[1][1:])]
    if not rows:
        raise Failure("No training item has an answer to learn.", "Check the data set's answers.")
    write_preview(job, encoder.tokenizer, rows)
    checkpoint = newest_checkpoint(job.out / "checkpoints")
    watch = Watcher(job, reporter, earlier_spending(checkpoint))
    trainer = _trainer(job, values, encoder, rows, watch, on_gpu)
    model: Any = trainer.model
    _describe(job, reporter, values, model)
    reporter.progress("training", 0.0, "the first step is the slowest")
    if checkpoint:
        reporter.log(f"goes on from {checkpoint.name}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    spent = watch.spent()
    tokens = int(values["epochs"]) * sum(len(ids) for ids, _ in rows)
    write_usage(job.out, spent["train_seconds"], tokens, spent["energy_joules"])
    reporter.log(f"trained on {tokens:,} tokens in {spent['train_seconds']:.1f} s")

    def fill(folder: Path) -> None:
        model.config.use_cache = True
        model.save_pretrained(folder)
        name_base(folder, str(_base(job, model)["name"]))
        encoder.tokenizer.save_pretrained(folder)

    write_folder(saved, fill)


def _trainer(
    job: Job, values: dict[str, Any], encoder: ChatEncoder, rows: list[Row], watch: Watcher, on_gpu: bool
) -> Any:
    from transformers import set_seed
    from trl import SFTTrainer

    # The adapter's first weights are drawn from the seed too.
    set_seed(job.seed)
    base = load_base(job, _dtype(values))
    base.config.use_cache = False
    return SFTTrainer(
        model=base,
        args=arguments(job, values, len(rows), on_gpu),
        train_dataset=dataset(rows),
        eval_dataset=dataset([encoder.row(row) for row in job.validation]) if job.validation else None,
        processing_class=encoder.tokenizer,
        peft_config=lora_config(values) if values["method"] == "lora" else None,
        callbacks=[callback(watch)],
    )


def _describe(job: Job, reporter: Reporter, values: dict[str, Any], model: Any) -> None:
    everything = sum(part.numel() for part in model.parameters())
    trained = sum(part.numel() for part in model.parameters() if part.requires_grad)
    values = {
        **values,
        "seed": job.seed,
        "optimizer": "AdamW",
        "adam_epsilon": ADAM_EPSILON,
        "base_weights": str(_dtype(values)).removeprefix("torch."),
        "packing": False,
        "loss": "answers only",
    }
    reporter.resolved(
        values, decoding(job, values["predict_batch_size"]), everything, trained, base=_base(job, model)
    )


def _base(job: Job, model: Any) -> dict[str, Any]:
    """Which base weights exactly: the Hub's commit, or a hash of the folder's files."""
    folder = Path(job.model_path).resolve()
    if not is_folder(job.model_path):
        return {"name": job.model_path, "revision": getattr(model.config, "_commit_hash", None)}
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return {"name": folder.name, "sha256": digest.hexdigest()}
