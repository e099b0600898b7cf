"""A base model's folder as Transformers 4.48 reads it: what version 5 writes, under the names of version 4. Used by the
toolkits that are pinned to old versions (autotrain.py, ludwig.py)."""

from pathlib import Path
from typing import Any

from ..failures import Failure
from ..files import read_json, write_json
from ..job import Job
from ._run import data

FETCHED = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
# Template, names of tokens and sizes are written anew; every other file is a link.
WRITTEN = ("config.json", "tokenizer_config.json", "chat_template.jinja")
# Who trains says how long a row may be; no limit at all would overflow in version 4.
LONGEST = 1_000_000


def old_format(job: Job, base: str) -> Path:
    """data/base, made anew: links to the weights of `base` (a folder, or a name on the Hub), with its two configurations
    in the old form. A model that was saved by version 4 comes out as it is. Raises Failure where there is no such form."""
    source, folder = _source(base), data(job) / "base"
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        link = folder / file.name
        if file.is_file() and file.name not in WRITTEN and not link.is_symlink():
            link.symlink_to(file.resolve())
    write_json(folder / "config.json", old_config(read_json(source / "config.json")))
    template = source / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.is_file() else None
    write_json(
        folder / "tokenizer_config.json", old_tokenizer(read_json(source / "tokenizer_config.json"), text)
    )
    return folder


def _source(base: str) -> Path:
    if Path(base).is_absolute():
        return Path(base)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(base, allow_patterns=FETCHED))
    except OSError as error:
        raise Failure(
            f"The model {base} cannot be had: {error}",
            "Check its name and the network, or fetch it once and give its folder.",
        ) from error


def old_config(config: dict[str, Any]) -> dict[str, Any]:
    """config.json with `torch_dtype` for `dtype` and `rope_theta`, `rope_scaling` for `rope_parameters`, at every depth."""
    old = {key: old_config(value) if isinstance(value, dict) else value for key, value in config.items()}
    if "dtype" in old:
        old["torch_dtype"] = old.pop("dtype")
    rope = old.pop("rope_parameters", None)
    if rope is None:
        return old
    if any(isinstance(value, dict) for value in rope.values()):
        raise Failure(
            "The base model has other positions (RoPE) for each kind of layer, in the form of Transformers 5, which "
            "this toolkit's older Transformers does not read.",
            "Take the model as it was published, or train with another trainer.",
        )
    scaling = {
        key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")
    }
    kept = {key: rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    return (
        old | kept | ({} if scaling.get("rope_type", "default") == "default" else {"rope_scaling": scaling})
    )


def old_tokenizer(config: dict[str, Any], template: str | None) -> dict[str, Any]:
    """tokenizer_config.json with a class that version 4 has, a finite longest text, and the chat template in it."""
    old = {key: value for key, value in config.items() if key not in ("backend", "is_local")}
    if old.get("tokenizer_class", "TokenizersBackend") == "TokenizersBackend":
        old["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(old.get("extra_special_tokens"), list):
        old["additional_special_tokens"] = old.pop("extra_special_tokens")
    old["model_max_length"] = LONGEST
    return old if template is None else old | {"chat_template": template}
