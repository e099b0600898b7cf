"""Predicts with a Hugging Face model and what was trained on it, by whichever trainer. Called by hub.py, and by the
runner of toolkits through predict_peft and predict_whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .constrained import Constraint, schema_of
from .engine import TransformersEngine
from .failures import Failure
from .hub_chat import ChatEncoder
from .hub_model import load_base, load_saved, load_tokenizer, with_adapter
from .job import Job
from .predict import Engine, note_decoding, predict, tell_cut
from .reporting import Reporter
from .vllm_engine import VllmEngine, chosen, load, structure, vllm_version

Decode = Callable[[list[int]], str]


def predict_peft(
    job: Job, reporter: Reporter, base: str, adapter_folder: Path, values: dict[str, Any]
) -> None:
    """Predicts every part that the job names with an adapter that PEFT 0.14 or later wrote, on the base model `base` (a
    folder, or a name on the Hub) with the base model's tokenizer and chat template; works with Transformers 4.48 or
    later, on a GPU where there is one. Writes out/predictions*.jsonl and the decoding into out/resolved.json.

    `values` are hyperparameters by our names: max_seq_len and predict_batch_size must be there; precision (auto),
    quantization (none), decoding (free), answer_schema and predictor (auto) may be. A run that was stopped goes on from
    the predictions that stand. Raises Failure where there is no adapter in the folder.
    """
    if not all(
        (adapter_folder / name).is_file() for name in ("adapter_config.json", "adapter_model.safetensors")
    ):
        raise Failure(
            f"There is no adapter in {adapter_folder}: training left none.",
            "The log says where it ended.",
        )
    _predict_trained(job, reporter, base, adapter_folder, {**values, "method": "lora"})


def predict_whole(
    job: Job, reporter: Reporter, base: str, model_folder: Path, values: dict[str, Any]
) -> None:
    """The same with a whole model (fully trained, or merged) in a folder: its weights, the base model's tokenizer and
    chat template. Raises Failure where the folder holds none."""
    if not (model_folder / "config.json").is_file() or not any(model_folder.glob("*.safetensors")):
        raise Failure(
            f"There is no model with safetensors in {model_folder}: training left none.",
            "The log says where it ended.",
        )
    _predict_trained(job, reporter, base, model_folder, {**values, "method": "full"})


def _predict_trained(job: Job, reporter: Reporter, base: str, saved: Path, values: dict[str, Any]) -> None:
    import torch

    values = {"quantization": "none", **values}
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if values.get("precision", "auto") == "auto":
        values["precision"] = "bf16" if half else "fp32"
    job = replace(job, model_path=base, values=values)
    encoder = ChatEncoder(load_tokenizer(job), values["max_seq_len"], job.train[0])
    dtype = torch.bfloat16 if values["precision"] == "bf16" else torch.float32
    predict_parts(job, reporter, values, encoder, saved, dtype)


def predict_parts(
    job: Job, reporter: Reporter, values: dict[str, Any], encoder: ChatEncoder, saved: Path, dtype: Any
) -> None:
    """Predicts every part that the job names with `saved`: an adapter on the job's base model, or a whole model."""
    reporter.progress("predicting", 0.0, "loading the trained weights")
    by_vllm = chosen(job, values, saved)
    engine = (
        _vllm(job, values, encoder, saved) if by_vllm else _transformers(job, values, encoder, saved, dtype)
    )
    program = f"vLLM {vllm_version()}" if by_vllm else "Transformers"
    note_decoding(job, values["predict_batch_size"], program)
    for part in job.predict:
        prompts = [encoder.prompt(row, job.max_new_tokens) for row in job.rows(part)]
        predict(job, reporter, engine, part, prompts)
    tell_cut(reporter, encoder.cut, values["max_seq_len"])


def _transformers(job: Job, values: dict[str, Any], encoder: ChatEncoder, saved: Path, dtype: Any) -> Engine:
    import torch

    if (saved / "adapter_config.json").is_file():
        model = with_adapter(load_base(job, dtype), saved)
    else:
        model = load_saved(saved, dtype)
    if not getattr(model, "is_quantized", False):
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    told = model.generation_config.eos_token_id
    ends = encoder.ends | set(told if isinstance(told, list) else [] if told is None else [told])
    constrained = values.get("decoding", "free") == "json_schema"
    return TransformersEngine(
        model.eval(),
        encoder.tokenizer.pad_token_id,
        ends,
        _decode(encoder),
        _labels(job, encoder),
        values["predict_batch_size"],
        job.max_new_tokens,
        choose=values.get("decoding", "free") == "labels",
        constraint=Constraint(schema_of(job), encoder.tokenizer, ends) if constrained else None,
    )


def _vllm(job: Job, values: dict[str, Any], encoder: ChatEncoder, saved: Path) -> Engine:
    llm, lora = load(job, values, saved)
    return VllmEngine(
        llm,
        lora,
        encoder.ends,
        _decode(encoder),
        _labels(job, encoder),
        job.max_new_tokens,
        choose=values.get("decoding", "free") == "labels",
        structure=structure(job),
    )


def _decode(encoder: ChatEncoder) -> Decode:
    return lambda tokens: str(encoder.tokenizer.decode(tokens, skip_special_tokens=True))


def _labels(job: Job, encoder: ChatEncoder) -> dict[str, list[int]]:
    return {label: encoder.label(job.test[0], label) for label in job.labels}
