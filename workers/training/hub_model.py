"""Loads a Hugging Face model from a folder, the cache or the Hub: safetensors only, never remote code. For hub.py."""

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


def load_base(job: Job, dtype: Any) -> Any:
    """The base model with weights as `dtype`; raises Failure when it cannot be had."""
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, job.model_path, use_safetensors=True, dtype=dtype)


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


def _load(kind: Any, path: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(path, trust_remote_code=False, **options)
    except OSError as error:
        raise Failure(
            f"The model {path} cannot be had: {_first_line(error)}",
            "Check its name and the network, or fetch it once and give its folder; models behind a licence "
            "need a Hugging Face login on this machine.",
        ) from error
    except (ValueError, KeyError) as error:
        raise Failure(
            f"The model {path} cannot be read: {_first_line(error)}",
            "It must be a causal language model that Transformers knows without remote code.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def with_adapter(model: Any, folder: Path) -> Any:
    """The base model with a trained adapter."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder), use_safetensors=True, local_files_only=True)


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
        use_rslora=False,
        use_dora=False,
        init_lora_weights=True,
        task_type="CAUSAL_LM",
    )
