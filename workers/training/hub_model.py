"""Loads a Hugging Face model from a folder, the cache or the Hub: safetensors only, never remote code. For hub.py."""

import hashlib
import os
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import read_json, write_json
from .job import Job


def load_tokenizer(job: Job) -> Any:
    """The base model's tokenizer; raises Failure when the model cannot be had."""
    from transformers import AutoTokenizer

    _check_folder(job.model_path)
    return _load(AutoTokenizer, job.model_path)


def load_base(job: Job, dtype: Any, whole: bool = False, **options: Any) -> Any:
    """The base model with weights as `dtype`, in fewer bits where the run says so (not where `whole`).

    Raises Failure when it cannot be had.
    """
    from transformers import AutoModelForCausalLM

    bits = "none" if whole or job.values["method"] == "full" else job.values.get("quantization", "none")
    if bits != "none":
        options |= _in_bits(bits, dtype)
    return _load(AutoModelForCausalLM, job.model_path, use_safetensors=True, dtype=dtype, **options)


def _in_bits(bits: str, dtype: Any) -> dict[str, Any]:
    """8 bits (LLM.int8) or 4 (NF4 with its constants quantized too, as QLoRA was published), placed at once."""
    import torch
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    place = int(os.environ.get("LOCAL_RANK", 0)) if torch.cuda.is_available() else "cpu"
    return {"quantization_config": config, "device_map": {"": place}}


def is_folder(path: str) -> bool:
    """Whether the model is a folder, not a name on the Hub."""
    return Path(path).is_absolute() or path.startswith(".")


def _check_folder(path: str) -> None:
    folder = Path(path)
    if not is_folder(path):
        return
    if not (folder / "config.json").is_file():
        raise Failure(
            f"The model folder {path} is not there or holds no config.json.",
            "Put the model there, or say where it is: MODEL=/its/folder sh run.sh.",
        )
    if not any(folder.glob("*.safetensors")):
        raise Failure(
            f"The model folder {path} holds no .safetensors file.",
            "Other weight formats can run code and are refused: convert the model to safetensors first.",
        )


def load_saved(folder: Path, dtype: Any) -> Any:
    """A whole model that training left in a folder, with weights as `dtype`."""
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, str(folder), use_safetensors=True, local_files_only=True, dtype=dtype)


def _load(kind: Any, path: str, **options: Any) -> Any:
    if "dtype" in options:
        options[_dtype_word()] = options.pop("dtype")
    try:
        return kind.from_pretrained(path, trust_remote_code=False, **options)
    except OSError as error:
        raise Failure(
            f"The model {path} cannot be had: {_first_line(error)}",
            "Check its name and the network, or fetch it once and give its folder; models behind a licence "
            "need a Hugging Face login on this machine.",
        ) from error
    except ImportError as error:
        raise Failure(
            f"The model {path} cannot be loaded as asked for: {_first_line(error)}",
            "Install the package named there where training runs, or choose another quantization or attention.",
        ) from error
    except (ValueError, KeyError) as error:
        raise Failure(
            f"The model {path} cannot be read: {_first_line(error)}",
            "It must be a causal language model that Transformers knows without remote code.",
        ) from error


def _dtype_word() -> str:
    """What from_pretrained calls the type of the weights: other toolkits bring Transformers before 4.56."""
    from transformers import __version__

    major, minor = __version__.split(".")[:2]
    return "dtype" if (int(major), int(minor)) >= (4, 56) else "torch_dtype"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def with_adapter(model: Any, folder: Path) -> Any:
    """The base model with a trained adapter."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder), use_safetensors=True, local_files_only=True)


def base_of(job: Job, model: Any) -> dict[str, Any]:
    """Which base weights exactly: the Hub's commit, or a hash of the folder's files."""
    folder = Path(job.model_path).resolve()
    if not is_folder(job.model_path):
        return {"name": job.model_path, "revision": getattr(model.config, "_commit_hash", None)}
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return {"name": folder.name, "sha256": digest.hexdigest()}


def name_base(folder: Path, name: str) -> None:
    """Makes a saved adapter the same on every machine: the base by its name in place of its folder, modules in
    order, without PEFT's empty card. Does nothing to a whole model."""
    file = folder / "adapter_config.json"
    if not file.is_file():
        return
    config = read_json(file)
    config["base_model_name_or_path"] = name
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()
    write_json(file, config)
    (folder / "README.md").unlink(missing_ok=True)


def lora_config(values: dict[str, Any]) -> Any:
    """PEFT's configuration of the adapter."""
    from peft import LoraConfig

    names = [name.strip() for name in values["lora_targets"].split(",") if name.strip()]
    return LoraConfig(
        r=values["lora_r"],
        lora_alpha=values["lora_alpha"],
        lora_dropout=values["lora_dropout"],
        target_modules="all-linear" if names in ([], ["all-linear"]) else names,
        bias="none",
        use_rslora=values["use_rslora"],
        use_dora=values["use_dora"],
        init_lora_weights=True,
        task_type="CAUSAL_LM",
    )
