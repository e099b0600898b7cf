"""`python -m training.merge RUN TARGET`: a LoRA run's adapter merged into its base model, as safetensors.

Started by app/exports; a reader of a bundle may do the same. RUN is the bundle's folder, TARGET a new folder.
Progress and errors go to progress.json and error.json in the working directory.
"""

import argparse
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from .failures import Failure, explain
from .files import write_folder, write_json
from .hub_chat import ChatEncoder
from .hub_model import load_base, load_tokenizer, with_adapter
from .job import Job, read_job
from .process import set_threads


def main(arguments: list[str]) -> int:
    """Merges; exit code 0, or 1 with error.json."""
    parser = argparse.ArgumentParser(prog="python -m training.merge", description="Merges an adapter.")
    parser.add_argument("run", type=Path, help="the bundle's folder, with out/adapter")
    parser.add_argument("target", type=Path, help="the folder to make")
    parser.add_argument("--model", default="", help="folder or name of the base model, if it lies elsewhere")
    options = parser.parse_args(arguments)
    sys.excepthook = _record
    job = read_job(options.run.resolve(), options.model)
    set_threads(job.threads)
    merge(job, options.target.resolve())
    return 0


def merge(job: Job, target: Path) -> None:
    """Writes the merged model with its tokenizer, in the base model's own precision."""
    adapter = job.out / "adapter"
    if not (adapter / "adapter_config.json").is_file():
        raise Failure(f"There is no adapter in {adapter}.", "Only LoRA runs that are done have one.")
    _say(0.05, "loading the base model")
    encoder = ChatEncoder(load_tokenizer(job), job.values["max_seq_len"], job.train[0])
    model: Any = with_adapter(load_base(job, "auto", whole=True), adapter)
    _say(0.5, "merging")
    merged = model.merge_and_unload(safe_merge=True)
    # Whoever asks the model must stop where training ended the answers.
    merged.generation_config.eos_token_id = sorted(encoder.ends)
    merged.generation_config.do_sample = False
    _say(0.7, "writing")

    def fill(folder: Path) -> None:
        merged.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)

    write_folder(target, fill)


def _say(fraction: float, message: str) -> None:
    write_json(Path("progress.json"), {"fraction": fraction, "message": message}, durable=False)


def _record(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    message, hint = explain(error)
    write_json(Path("error.json"), {"message": message, "hint": hint})
    sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
