"""The starter: a small Llama with its own tokenizer, trained from scratch on the training split. Called by __main__.py."""

import shutil
from pathlib import Path
from typing import Any

from .constrained import Constraint, check_decoding, schema_of
from .engine import TransformersEngine
from .failures import Failure
from .files import write_folder, write_text
from .job import Job
from .machine import EnergyMeter, add_energy, write_environment, write_usage
from .predict import decoding, predict, tell_cut
from .preview import write_preview
from .reporting import Reporter
from .starter_tokenizer import END, PAD, RowEncoder, make_tokenizer, save_tokenizer
from .starter_training import ADAM_EPSILON, Plan, Row, train

SIZES = {
    "starter/tiny": {"hidden_size": 128, "layers": 4, "heads": 4, "feed_forward": 336},
    "starter/small": {"hidden_size": 192, "layers": 4, "heads": 4, "feed_forward": 512},
}
PACKAGES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


def run(job: Job, reporter: Reporter) -> None:
    """Trains unless the trained model is there already, then predicts."""
    check_decoding(job)
    reporter.progress("preparing", 0.1, "loading PyTorch")
    import torch

    torch.set_num_threads(job.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
    write_environment(job.out, job.threads, PACKAGES, gpu)
    tokenizer = _tokenizer(job, reporter)
    encoder = RowEncoder(tokenizer, job.values["max_seq_len"])
    if not (job.out / "model").is_dir():
        _train(job, reporter, tokenizer, encoder, device)
    meter = EnergyMeter()
    _predict(job, reporter, encoder, device)
    add_energy(job.out, meter)
    shutil.rmtree(job.out / "checkpoints", ignore_errors=True)


def _tokenizer(job: Job, reporter: Reporter) -> Any:
    from tokenizers import Tokenizer

    kept = job.out / "checkpoints" / "tokenizer.json"
    if kept.is_file():
        return Tokenizer.from_file(str(kept))
    reporter.progress("preparing", 0.5, "making the tokenizer")
    tokenizer = make_tokenizer(job.train, job.values["vocabulary"])
    kept.parent.mkdir(exist_ok=True)
    write_text(kept, tokenizer.to_str())
    reporter.log(f"made a tokenizer of {tokenizer.get_vocab_size()} tokens from the training split")
    return tokenizer


def make_model(job: Job, vocabulary: int, ids: dict[str, int]) -> Any:
    """A new model with weights drawn from the seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = SIZES[job.model]
    torch.manual_seed(job.seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=size["hidden_size"],
        intermediate_size=size["feed_forward"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        max_position_embeddings=job.values["max_seq_len"],
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
        bos_token_id=None,
        eos_token_id=ids[END],
    )
    return LlamaForCausalLM(config)


def _train(job: Job, reporter: Reporter, tokenizer: Any, encoder: RowEncoder, device: Any) -> None:
    rows = [encoder.row(row) for row in job.train]
    rows = [row for row in rows if any(row[1][1:])]
    if not rows:
        raise Failure("No training item has an answer to learn.", "Check the data set's answers and weights.")
    model = make_model(job, tokenizer.get_vocab_size(), encoder.ids).to(device)
    _describe(job, reporter, model, tokenizer, rows)
    plan = Plan(
        job.values, job.seed, encoder.ids[PAD], job.out / "checkpoints", job.config["checkpoint_seconds"]
    )
    validation = [encoder.row(row) for row in job.validation]
    spent = train(model, rows, validation, plan, reporter)
    tokens = job.values["epochs"] * sum(len(ids) for ids, _ in rows)
    write_usage(job.out, spent["train_seconds"], tokens, spent["energy_joules"])
    reporter.log(f"trained on {tokens:,} tokens in {spent['train_seconds']:.1f} s")

    def fill(folder: Path) -> None:
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder, job.values["max_seq_len"])

    write_folder(job.out / "model", fill)


def _describe(job: Job, reporter: Reporter, model: Any, tokenizer: Any, rows: list[Row]) -> None:
    count = sum(part.numel() for part in model.parameters())
    values = {
        **job.values,
        **SIZES[job.model],
        "seed": job.seed,
        "optimizer": "AdamW",
        "adam_epsilon": ADAM_EPSILON,
        "precision": "fp32",
        "vocabulary": tokenizer.get_vocab_size(),
    }
    reporter.resolved(values, decoding(job, job.values["predict_batch_size"]), count, count)
    write_preview(job, tokenizer, rows)


def _predict(job: Job, reporter: Reporter, encoder: RowEncoder, device: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, ends = job.out / "model", {encoder.ids[END]}
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    way = job.values.get("decoding", "free")
    engine = TransformersEngine(
        model.to(device).eval(),
        encoder.ids[PAD],
        ends,
        lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
        {label: encoder.label(label) for label in job.labels},
        job.values["predict_batch_size"],
        job.max_new_tokens,
        choose=way == "labels",
        constraint=Constraint(schema_of(job), tokenizer, ends) if way == "json_schema" else None,
    )
    for part in job.predict:
        prompts = [encoder.prompt(row, job.max_new_tokens) for row in job.rows(part)]
        predict(job, reporter, engine, part, prompts)
    tell_cut(reporter, encoder.cut, job.values["max_seq_len"])
