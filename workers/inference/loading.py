"""Loads starters from bundles, and what every loaded model is tried on. Called by shelf.py in the device's thread;
imports PyTorch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from workers.training.constrained import schema_of
from workers.training.generation import Beginning, read_prompts
from workers.training.job import Job, read_job
from workers.training.sharing import can_share, reach
from workers.training.starter_tokenizer import END, PAD, RowEncoder

from .asked import ModelName
from .language import Language, Messages
from .prompts import can_join
from .refusals import Refusal

PROBES = 8
PROBE = {"prompt": [{"role": "user", "content": "Hello"}]}


def device() -> Any:
    """Where models stand: the first GPU, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_starter(name: ModelName) -> Language:
    """A starter that a run trained."""
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    job = job_of(name)
    folder = job.out / "model"
    check(folder, "config.json")
    encoder = RowEncoder(Tokenizer.from_file(str(folder / "tokenizer.json")), job.values["max_seq_len"])
    model: Any = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    most = job.max_new_tokens

    def encode(messages: Messages, tools: Any) -> list[int]:
        return encoder.prompt({"prompt": messages, "tools": tools}, most)

    model = model.to(device()).eval()
    made = language_of(
        name, job, model, tokenizer, encoder.ids[PAD], {encoder.ids[END]}, encode, encoder.label
    )
    return probed(replace(made, bytes=bytes_of(model)), job)


def job_of(name: ModelName) -> Job:
    """The run's bundle. Raises Refusal where its configuration cannot be read."""
    assert name.bundle is not None
    try:
        return read_job(Path(name.bundle), name.base or "")
    except (SystemExit, KeyError, ValueError, TypeError) as error:
        raise Refusal(
            "broken",
            f"The bundle {name.bundle} cannot be read: {error}",
            "Its config.json is not as a run writes it: restore the run's files from a backup.",
        ) from error


def check(folder: Path, file: str) -> None:
    """Raises Refusal where training left nothing."""
    if not (folder / file).is_file():
        raise Refusal(
            "not_found",
            f"There are no trained weights in {folder}.",
            "The run has not ended well, or its files were removed: run it again.",
        )


def language_of(
    name: ModelName, job: Job, model: Any, tokenizer: Any, pad: int, ends: set[int],
    encode: Callable[[Messages, Any], list[int]], label: Callable[[str], list[int]],
) -> Language:  # fmt: skip
    """The model with the run's own way to answer."""
    way = job.values.get("decoding", "free")
    return Language(
        id=name.id,
        model=model,
        tokenizer=tokenizer,
        pad=pad,
        ends=ends,
        decode=lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
        encode=encode,
        label=label,
        labels={each: label(each) for each in job.labels},
        most=job.max_new_tokens,
        limit=_limit(model, job.values["max_seq_len"]),
        choose=way == "labels",
        schema=schema_of(job) if way == "json_schema" else None,
    )


def _limit(model: Any, otherwise: int) -> int:
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return int(getattr(config, "max_position_embeddings", 0) or otherwise)


def bytes_of(model: Any) -> int:
    """What its weights hold."""
    return sum(part.numel() * part.element_size() for part in (*model.parameters(), *model.buffers()))


@torch.inference_mode()
def probed(made: Language, job: Job) -> Language:
    """The model with `plain` and `joins` found out on a few of its own prompts."""
    made.activate()
    rows = job.test[:PROBES] or [PROBE]
    prompts = sorted((made.encode(row["prompt"], row.get("tools")) for row in rows), key=len)
    pair = [prompts[0], prompts[-1]]
    sees = reach(made.model.config)
    plain = not can_share(made.model, pair, made.pad, Beginning(), list(made.labels.values()), made.most)
    joins = not plain and sees >= made.limit and can_join(read_prompts(made.model, pair, made.pad))
    return replace(made, plain=plain, joins=joins)
