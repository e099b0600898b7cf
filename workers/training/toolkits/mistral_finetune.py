"""mistral-finetune: torchrun on its checkout, then answers by mistral-inference."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..failures import Failure
from ..files import write_folder
from ..job import Job
from ..predict import note_decoding
from ..predict import predict as answer
from ..reporting import Reporter
from ._hub import chats, number, write_rows
from ._progress import Step
from ._resolved import read_yaml
from ._run import data, work

PACKAGES = (
    "mistral-common", "mistral-inference", "numpy", "safetensors", "sentencepiece", "simple-parsing", "torch", "triton",
    "xformers",
)  # fmt: skip
PROGRESS_FILE = "run/metrics.train.jsonl"
CONFIG, GIVEN = "mistral.yaml", "data/mistral.yaml"
# The files of a model in Mistral's own form.
MODEL = ("params.json", "consolidated.safetensors", "tokenizer.model.v3")
VALID = "No errors! Data is correctly formatted!"


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl, checked by its own tools, and data/mistral.yaml with max_steps from the tokens."""
    folder, home = model_folder(base), checkout()
    (data(job) / "model").symlink_to(folder, target_is_directory=True)
    rows = chats(job.train)
    for row, chat in zip(job.train, rows, strict=True):
        if any(turn["role"] == "tool" for turn in chat["messages"]):
            raise Failure(
                f"Line {row['line']} holds a tool's answer, which mistral-finetune wants with ids that the data lack.",
                "Train with another trainer.",
            )
    write_rows(data(job) / "train.jsonl", rows)
    _write_config(job, 1)
    _tool(job, home, "reformat_data", ["data/train.jsonl"])
    if len((data(job) / "train.jsonl").read_text(encoding="utf-8").splitlines()) != len(rows):
        raise Failure(
            "mistral-finetune's reformat_data would leave out rows.",
            "The log names them: mend the data set, or train with another trainer.",
        )
    said = _tool(job, home, "validate_data", ["--train_yaml", GIVEN])
    if VALID not in said:
        reason = next((line.strip() for line in said.splitlines() if "incorrectly formatted" in line), "")
        raise Failure(
            f"mistral-finetune's validate_data refuses the data: {reason[:300] or said[-300:]}",
            "Mend the data set, or train with another trainer.",
        )
    _write_config(job, steps(job, sum(len(tokens_of(home, row)[0]) - 1 for row in rows), _gpus()))


def checkout() -> Path:
    """Its code, which the environment fetched from git."""
    folder = Path(sys.prefix) / "mistral-finetune"
    if not (folder / "train.py").is_file():
        raise Failure(
            "mistral-finetune's code is not in this Python's environment: it is no package and comes from git.",
            "Let the bundle make its environment on a machine that reaches its repository.",
        )
    return folder


def model_folder(base: str) -> Path:
    """The base model in Mistral's form: its folder, or those files of it from the Hub."""
    folder = Path(base)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(base, allow_patterns=list(MODEL)))
    lacking = [name for name in MODEL if not (folder / name).is_file()]
    if lacking:
        raise Failure(
            f"The model has no {lacking[0]}: mistral-finetune reads Mistral's own form alone.",
            "Take a model that Mistral published with these files, such as Mistral-7B-Instruct-v0.3.",
        )
    return folder.resolve()


def steps(job: Job, tokens: int, gpus: int) -> int:
    """Steps in which so many tokens are seen `epochs` times; rows are packed, so a step has all its tokens."""
    values = job.values
    step = values["max_seq_len"] * values["batch_size"] * values["gradient_accumulation"] * gpus
    return max(1, math.ceil(values["epochs"] * tokens / step))


def _gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _write_config(job: Job, most: int) -> None:
    import yaml

    given = yaml.safe_load((job.folder / CONFIG).read_text(encoding="utf-8"))
    given |= {"model_id_or_path": "data/model", "max_steps": most}
    (job.folder / GIVEN).write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")


def _tool(job: Job, home: Path, name: str, arguments: list[str]) -> str:
    """What one of its tools says."""
    done = subprocess.run(
        [sys.executable, "-m", f"utils.{name}", *arguments], cwd=job.folder, env=os.environ | {"PYTHONPATH": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, flush=True)
    return done.stdout


def tokens_of(home: Path, chat: dict[str, Any]) -> tuple[list[int], list[bool]]:
    """A chat as mistral-finetune trains on it: (tokens, which of them carry the loss)."""
    if str(home) not in sys.path:
        sys.path.insert(0, str(home))
    from finetune.data.tokenize import SampleType, encode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    sample = encode(
        chat, instruct_tokenizer=MistralTokenizer.v3().instruct_tokenizer, as_type=SampleType.INSTRUCT
    )
    return list(sample.tokens), list(sample.masks)


def command(job: Job) -> list[str]:
    """One process for each GPU."""
    train = os.path.relpath(checkout() / "train.py", job.folder)
    return ["torchrun", "--standalone", "--nproc-per-node", "gpu", train, GIVEN]


def variables(job: Job) -> dict[str, str]:
    """Nothing of its own."""
    return {}


def read(line: str) -> Step | None:
    """A line of metrics.train.jsonl: step, loss, lr, percent_done and more."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    step = number(found.get("step"))
    return Step(
        step=None if step is None else int(step),
        fraction=(number(found.get("percent_done")) or 0.0) / 100,
        loss=number(found.get("loss")),
        learning_rate=number(found.get("lr")),
    )


def collect(job: Job) -> None:
    """out/adapter: lora.safetensors in Mistral's naming, with its parameters."""
    found = sorted((work(job) / "run" / "checkpoints").glob("*/consolidated/lora.safetensors"), key=_step)
    if not found:
        raise Failure(
            "mistral-finetune ended without an adapter.",
            "The log below says what stopped it; mend that, then retry.",
        )

    def fill(folder: Path) -> None:
        for name in ("lora.safetensors", "params.json"):
            shutil.copy2(found[-1].with_name(name), folder / name)

    write_folder(job.out / "adapter", fill)


def _step(file: Path) -> int:
    return int((re.findall(r"\d+", file.parent.parent.name) or ["0"])[-1])


def resolved(job: Job) -> dict[str, Any]:
    """The arguments as its own classes read them, which it writes beside its checkpoints."""
    found = read_yaml(work(job) / "run" / "args.yaml") or read_yaml(job.folder / GIVEN)
    found.pop("model_id_or_path", None)
    found.pop("run_dir", None)
    return found | {
        "method": "lora",
        "epochs": job.values["epochs"],
        "lora_alpha": found.pop("lora.scaling") * found["lora.rank"],
        "schedule": "cosine",
        "gradient_checkpointing": "yes" if found.pop("checkpoint") else "no",
    }


def predict(job: Job, reporter: Reporter, base: str, values: dict[str, Any]) -> None:
    """Answers every part by mistral-inference, prompt by prompt, with the tokens that training saw."""
    from ._mistral_engine import MistralEngine, load, split

    home = checkout()
    scaling = values["lora_alpha"] / values["lora_r"]
    model = load(model_folder(base), job.out / "adapter" / "lora.safetensors", scaling)

    def tokens(row: dict[str, Any], text: str) -> tuple[list[int], list[int]]:
        messages = [*row["prompt"], {"role": "assistant", "content": text}]
        return split(*tokens_of(home, chats([{"messages": messages}])[0]))

    labels = {label: tokens(job.test[0], label)[1] for label in job.labels}
    engine = MistralEngine(model, labels, job.max_new_tokens)
    note_decoding(job, 1, "mistral-inference")
    for part in job.predict:
        answer(job, reporter, engine, part, [tokens(row, "x")[0] for row in job.rows(part)])
