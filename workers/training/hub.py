"""Fine-tunes a Hugging Face model by LoRA or in full and predicts with what was saved. Called by __main__.py."""

import gc
import shutil
from typing import Any

from .constrained import check_decoding
from .failures import Failure
from .hub_chat import ChatEncoder
from .hub_model import load_tokenizer
from .hub_predict import predict_parts
from .hub_ranks import train_on_all
from .hub_settings import settle, this_machine
from .hub_sft import train, weights_dtype
from .job import Job
from .machine import EnergyMeter, add_energy, write_environment
from .reporting import Reporter

PACKAGES = ("accelerate", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers")


def run(job: Job, reporter: Reporter) -> None:
    """Trains unless the trained weights are there already, then predicts."""
    check_decoding(job)
    reporter.progress("preparing", 0.1, "loading PyTorch")
    import torch

    torch.set_num_threads(job.threads)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    values = settle(job.values, this_machine())
    write_environment(job.out, job.threads, (*PACKAGES, *_more(values)), gpu)
    if values["early_stopping_patience"] and not job.validation:
        raise Failure(
            "Early stopping goes by the validation loss, and there is no validation part.",
            "Take a split that has one, or set early stopping to 0.",
        )
    saved = job.out / ("adapter" if values["method"] == "lora" else "model")
    reporter.progress("preparing", 0.4, "loading the model")
    encoder = encoder_of(job, values)
    if not saved.is_dir():
        if values["devices"] > 1:
            train_on_all(job, reporter, values["devices"])
        else:
            train(job, reporter, values, encoder, saved)
        # The trainer holds the model in a ring of references: two at once may not fit.
        gc.collect()
        torch.cuda.empty_cache()
    meter = EnergyMeter()
    predict_parts(job, reporter, values, encoder, saved, weights_dtype(values))
    add_energy(job.out, meter)
    shutil.rmtree(job.out / "checkpoints", ignore_errors=True)


def _more(values: dict[str, Any]) -> list[str]:
    """The packages that took part beside those that always do."""
    parts = {
        "trl": values["objective"] == "dpo",
        "bitsandbytes": values["quantization"] != "none",
        "flash_attn": values["attention"] == "flash_attention_2",
        "liger_kernel": values["liger_kernel"],
    }
    return [name for name, took in parts.items() if took]


def encoder_of(job: Job, values: dict[str, Any]) -> ChatEncoder:
    """The base model's chat as tokens."""
    return ChatEncoder(load_tokenizer(job), values["max_seq_len"], job.train[0])
