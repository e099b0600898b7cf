"""What trains and exports with Unsloth: `python unsloth_sft.py train|merged|gguf CONFIG.yaml [BITS ADAPTER OUT]`.

Stands alone: started by unsloth.py by its path. The configuration's sections are the arguments of Unsloth's functions.
"""

import sys
from pathlib import Path
from typing import Any


def main(what: str, config: str, *more: str) -> None:
    """Trains, or exports the adapter that was trained."""
    import yaml

    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    if what == "train":
        _train(settings)
    else:
        _export(settings, what, *more)


def _model(settings: dict[str, Any], **changes: Any) -> Any:
    """(model, tokenizer). Unsloth must be imported before anything of Hugging Face."""
    from unsloth import FastLanguageModel  # isort: skip
    import torch

    given = {**settings["model"], **changes}
    return FastLanguageModel.from_pretrained(**{**given, "dtype": getattr(torch, given["dtype"])})


def _train(settings: dict[str, Any]) -> None:
    model, tokenizer = _model(settings)
    from datasets import load_dataset
    from transformers import DataCollatorForSeq2Seq
    from trl import SFTConfig, SFTTrainer
    from unsloth import FastLanguageModel

    model = FastLanguageModel.get_peft_model(model, **settings["lora"])
    rows = load_dataset("json", data_files={"train": settings["data"]}, split="train")
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        # Pads labels with -100: the loss is on the answers alone.
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
        args=SFTConfig(**settings["training"]),
    )
    trainer.train()
    model.save_pretrained(settings["training"]["output_dir"])


def _export(settings: dict[str, Any], what: str, bits: str, adapter: str, out: str) -> None:
    """The whole model in 16 bits, or one GGUF file with a Modelfile for Ollama."""
    model, tokenizer = _model(settings, model_name=adapter, use_exact_model_name=False)
    if what == "merged":
        model.save_pretrained_merged(out, tokenizer, save_method=bits)
        return
    model.save_pretrained_gguf(out, tokenizer, quantization_method=bits)
    # It may write beside the folder that it is given, and a Modelfile only for bases that Ollama knows.
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for file in [*folder.parent.glob(f"{folder.name}_gguf/*"), *folder.parent.glob("*.gguf")]:
        file.rename(folder / file.name)
    found = sorted(folder.rglob("*.gguf"))
    if not found:
        raise SystemExit("Unsloth wrote no GGUF file.")
    modelfile = folder / "Modelfile"
    if not modelfile.is_file():
        text = f"FROM ./{found[0].relative_to(folder)}\nPARAMETER temperature 0\n"
        modelfile.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
