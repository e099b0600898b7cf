"""Predicts with a Hugging Face model and what was trained on it. Called by hub.py."""

from pathlib import Path
from typing import Any

from .hub_chat import ChatEncoder
from .hub_model import load_base, with_adapter
from .job import Job
from .predict import Predictor, predict, tell_cut
from .reporting import Reporter


def predict_parts(
    job: Job, reporter: Reporter, values: dict[str, Any], encoder: ChatEncoder, saved: Path, dtype: Any
) -> None:
    """Predicts every part that the job names with `saved`: an adapter on the job's base model, or a whole model."""
    import torch

    reporter.progress("predicting", 0.0, "loading the trained weights")
    if (saved / "adapter_config.json").is_file():
        model = with_adapter(load_base(job, dtype), saved)
    else:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            saved, use_safetensors=True, local_files_only=True, dtype=dtype
        )
    tokenizer = encoder.tokenizer
    ends = model.generation_config.eos_token_id
    predictor = Predictor(
        model.to("cuda" if torch.cuda.is_available() else "cpu").eval(),
        tokenizer.pad_token_id,
        encoder.ends | set(ends if isinstance(ends, list) else [] if ends is None else [ends]),
        lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
        {label: encoder.label(job.test[0], label) for label in job.labels},
        values["predict_batch_size"],
    )
    for part in job.predict:
        prompts = [encoder.prompt(row, job.max_new_tokens) for row in job.rows(part)]
        predict(job, reporter, predictor, part, prompts)
    tell_cut(reporter, encoder.cut, values["max_seq_len"])
