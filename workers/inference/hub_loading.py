"""Loads Hugging Face models that runs tuned: adapters stand side by side on one base. Called by shelf.py in the device's
thread; imports PyTorch."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from workers.training.files import read_json
from workers.training.hub_chat import ChatEncoder
from workers.training.hub_model import load_base, load_saved, load_tokenizer
from workers.training.hub_settings import settle, this_machine
from workers.training.hub_sft import weights_dtype
from workers.training.job import Job

from .asked import ModelName
from .language import Language
from .loading import PROBE, bytes_of, check, device, job_of, language_of, probed
from .refusals import Refusal

# Toolkits whose own predictions were made by Transformers with the base model's chat template.
TOOLKITS = ("axolotl", "llamafactory", "trl", "unsloth")
# The longest answer and text of a model that no run of ours tuned.
UNTUNED = {"max_new_tokens": 1024, "max_seq_len": 8192}
NOWHERE = Path("/nonexistent")
numbers = count(1)


class Base:
    """A base model in memory, with the adapters that stand on it. `users` counts the runs that use it."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer, self.users = model, tokenizer, 0
        self._active: str | None = None
        self._adapted = False

    def add(self, folder: Path, name: str) -> None:
        """Puts an adapter on it."""
        if self._adapted:
            self.model.load_adapter(
                str(folder), adapter_name=name, use_safetensors=True, local_files_only=True,
                torch_device=str(self.model.device),
            )  # fmt: skip
        else:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(
                self.model, str(folder), adapter_name=name, use_safetensors=True, local_files_only=True
            )
            self._adapted = True
        self.model.eval()
        self._active = ""

    def activate(self, name: str | None) -> None:
        """Answers come from now on with this adapter, with None from the base alone."""
        if not self._adapted or self._active == name:
            return
        if name is None:
            self.model.base_model.disable_adapter_layers()
        else:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(name, inference_mode=True)
        self._active = name

    def remove(self, name: str) -> None:
        """Takes an adapter off."""
        if len(self.model.peft_config) > 1:
            self.model.delete_adapter(name)
            self._active = ""


def base_key(name: ModelName) -> tuple[str, ...]:
    """Runs with the same key stand on one base model."""
    job, values, dtype, _ = _settled(name)
    return (str(Path(job.model_path).resolve() if Path(job.model_path).exists() else job.model_path),
            str(dtype), str(values.get("quantization", "none")))  # fmt: skip


def _settled(name: ModelName) -> tuple[Job, dict[str, Any], Any, Path | None]:
    """(job, values, type of the weights, where what was trained lies), as the run itself predicted."""
    if name.bundle is None:
        values = {**UNTUNED, "method": "full", "quantization": "none", "precision": "auto"}
        job = Job(
            NOWHERE,
            {},
            "",
            "hub",
            name.id,
            name.base or "",
            "text",
            [],
            values,
            0,
            1,
            UNTUNED["max_new_tokens"],
        )
        return job, values, _dtype(values), None
    job = job_of(name)
    if job.kind == "toolkit":
        return _settled_toolkit(name, job)
    values = settle(job.values, this_machine())
    saved = (
        Path(name.adapter)
        if name.adapter
        else job.out / ("adapter" if values["method"] == "lora" else "model")
    )
    return job, values, weights_dtype(values), saved


def _settled_toolkit(name: ModelName, job: Job) -> tuple[Job, dict[str, Any], Any, Path]:
    toolkit = str(job.config.get("toolkit", {}).get("name"))
    if toolkit not in TOOLKITS:
        raise Refusal(
            "bad_request",
            f"Models that {toolkit} trained are not answered by this server.",
            f"Serve its weights with {toolkit} and add that server as an endpoint.",
        )
    lora = (job.out / "adapter").is_dir()
    saved = Path(name.adapter) if name.adapter else job.out / ("adapter" if lora else "model")
    values = {"quantization": "none", "max_seq_len": 1024, **job.values, "method": "lora" if lora else "full"}
    return replace(job, values=values), values, _dtype(values), saved


def _dtype(values: dict[str, Any]) -> Any:
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    wanted = values.get("precision", "auto")
    return torch.bfloat16 if wanted == "bf16" or (wanted == "auto" and half) else torch.float32


def load_hub(name: ModelName, bases: dict[tuple[str, ...], Base]) -> Language:
    """A run's adapter on its base, which is loaded once for all, or a whole model."""
    job, values, dtype, saved = _settled(name)
    job = replace(job, values=values)
    if saved is not None:
        check(saved, "adapter_config.json" if values["method"] == "lora" else "config.json")
    key = base_key(name) if saved is None or values["method"] == "lora" else (str(saved),)
    if key not in bases:
        whole = saved is not None and values["method"] != "lora"
        model = load_saved(saved, dtype) if whole and saved else load_base(job, dtype)
        if not getattr(model, "is_quantized", False):
            model = model.to(device())
        bases[key] = Base(model.eval(), load_tokenizer(job))
    base = bases[key]
    base.users += 1
    try:
        return _on_base(name, job, base, saved if values["method"] == "lora" else None, bases, key)
    except BaseException:
        _leave(bases, key, None)
        raise


def _on_base(
    name: ModelName, job: Job, base: Base, adapter: Path | None, bases: dict[tuple[str, ...], Base],
    key: tuple[str, ...],
) -> Language:  # fmt: skip
    rows = job.test if name.bundle else [PROBE]
    example = (
        job.train[0]
        if name.bundle
        else {"messages": [*PROBE["prompt"], {"role": "assistant", "content": "Hi"}]}
    )
    encoder = ChatEncoder(base.tokenizer, job.values["max_seq_len"], example)
    most, first = job.max_new_tokens, (rows or [{"prompt": example["messages"][:-1]}])[0]
    before = bytes_of(base.model)
    own = f"run{next(numbers)}" if adapter else None
    if adapter and own:
        base.add(adapter, own)
    told = base.model.generation_config.eos_token_id
    ends = encoder.ends | set(told if isinstance(told, list) else [] if told is None else [told])
    model, tokenizer = base.model, base.tokenizer
    made = language_of(
        name, job, model, tokenizer, encoder.tokenizer.pad_token_id, ends,
        lambda messages, tools: encoder.prompt({"prompt": messages, "tools": tools}, most),
        lambda text: encoder.label(first, text),
    )  # fmt: skip
    made = replace(
        made,
        bytes=bytes_of(model) - (before if base.users > 1 else 0),
        activate=lambda: base.activate(own),
        release=lambda: _leave(bases, key, own),
    )
    return probed(made, job)


def _leave(bases: dict[tuple[str, ...], Base], key: tuple[str, ...], adapter: str | None) -> None:
    base = bases[key]
    base.users -= 1
    if base.users <= 0:
        del bases[key]
    elif adapter:
        base.remove(adapter)


def wanted_bytes(name: ModelName, bases: dict[tuple[str, ...], Base]) -> int:
    """About how much memory the model will hold, from the sizes of its files."""
    if name.kind == "starter":
        return _size(Path(name.bundle) / "out" / "model") if name.bundle else 0
    job, values, dtype, saved = _settled(name)
    if saved and values["method"] != "lora":
        return _size(saved, dtype)
    held = _size(saved) if saved else 0
    bits = {"4bit": 0.35, "8bit": 0.6}.get(str(values.get("quantization")), 1.0)
    return held + (0 if base_key(name) in bases else int(_size(Path(job.model_path), dtype) * bits))


def _size(folder: Path, dtype: Any = None) -> int:
    """Bytes of the weights in a folder once they are of type `dtype`."""
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    config = read_json(folder / "config.json")
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    width = 2 if stored in ("bfloat16", "float16") else 4
    return size if dtype is None else size * dtype.itemsize // width
