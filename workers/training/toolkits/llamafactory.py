"""LLaMA-Factory: `llamafactory-cli train` on chats, then `export` where a merged model is asked for."""

import json
from typing import Any

from ..failures import Failure
from ..job import Job
from ._hub import adapter_values, chats, encoder_of, keep_adapter, keep_model, number, predict, write_rows
from ._progress import Step
from ._resolved import read_yaml
from ._run import data, work

__all__ = [
    "PACKAGES",
    "PROGRESS_FILE",
    "collect",
    "command",
    "export",
    "predict",
    "prepare",
    "read",
    "resolved",
    "variables",
]

PACKAGES = (
    "accelerate", "bitsandbytes", "datasets", "llamafactory", "peft", "safetensors", "tokenizers", "torch",
    "transformers", "trl",
)  # fmt: skip
PROGRESS_FILE = "trained/trainer_log.jsonl"
CONFIG, EXPORT = "llamafactory.yaml", "llamafactory-export.yaml"
ADAPTER = {"lora_r": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
# Rows whose template is compared with the model's own before training.
COMPARED = 20


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl, when LLaMA-Factory would read every row, and as the tokens that are predicted with."""
    rows = chats(job.train)
    for row, chat in zip(job.train, rows, strict=True):
        if not _alternates([turn["role"] for turn in chat["messages"]]):
            raise Failure(
                f"Line {row['line']} cannot be given to LLaMA-Factory: after an optional system message its turns must "
                "be user (or tool) and assistant by turns, and it would leave out the row.",
                "Train with another trainer, or mend the data set.",
            )
    _compare(job, base, rows[:COMPARED])
    write_rows(data(job) / "train.jsonl", rows)


def _alternates(roles: list[str]) -> bool:
    turns = roles[1:] if roles[:1] == ["system"] else roles
    asked = all(role in ("user", "tool") for role in turns[::2])
    return bool(turns) and len(turns) % 2 == 0 and asked and set(turns[1::2]) == {"assistant"}


def _compare(job: Job, base: str, rows: list[dict[str, Any]]) -> None:
    """Refuses a template that gives other tokens than the model's own, which is used to predict."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments

    encoder = encoder_of(job, base)
    name = job.values["template"] or None
    arguments = DataArguments(template=name, enable_thinking=False)
    try:
        template = get_template_and_fix_tokenizer(encoder_of(job, base).tokenizer, arguments)
    except ValueError as error:
        raise Failure(
            f"LLaMA-Factory cannot take the template: {error}", "See its list of templates."
        ) from error
    for row, chat in zip(job.train, rows, strict=False):
        turns = chat["messages"]
        system = turns[0]["content"] if turns[0]["role"] == "system" else None
        turns = turns[1:] if system is not None else turns
        turns = [
            {**turn, "role": "observation" if turn["role"] == "tool" else turn["role"]} for turn in turns
        ]
        prompt, answer = template.encode_oneturn(encoder.tokenizer, turns, system=system)
        own, _ = encoder.row(row)
        if len(own) < job.values["max_seq_len"] and not _same(own, [*prompt, *answer]):
            raise Failure(
                f"LLaMA-Factory writes line {row['line']} with other tokens than the model's own chat template does: "
                f"...{encoder.tokenizer.decode([*prompt, *answer])[-120:]!r} for "
                f"...{encoder.tokenizer.decode(own)[-120:]!r}.",
                "Set template to LLaMA-Factory's name for this model's, or train with another trainer.",
            )


def _same(own: list[int], theirs: list[int]) -> bool:
    """A line break or the like after the answer's end is not predicted and makes no difference."""
    shorter, longer = sorted((own, theirs), key=len)
    return longer[: len(shorter)] == shorter and len(longer) - len(shorter) <= 1


def command(job: Job) -> list[str]:
    """It starts torchrun itself where there are several GPUs."""
    return ["llamafactory-cli", "train", CONFIG]


def export(job: Job) -> list[str]:
    """Writes the merged model to work/merged; [] where it is not asked for."""
    return ["llamafactory-cli", "export", EXPORT] if (job.folder / EXPORT).is_file() else []


def variables(job: Job) -> dict[str, str]:
    """No GPU is looked for where the configuration is for a CPU."""
    return {} if job.config.get("gpu") else {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}


def read(line: str) -> Step | None:
    """A line of trainer_log.jsonl: current_steps, total_steps, loss, lr, epoch, percentage, times."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    step, loss = number(found.get("current_steps")), number(found.get("loss"))
    if step is None or loss is None:
        return None
    return Step(
        step=int(step),
        fraction=(number(found.get("percentage")) or 0.0) / 100,
        loss=loss,
        learning_rate=number(found.get("lr")),
    )


def collect(job: Job) -> None:
    """out/adapter for LoRA, out/model for full fine-tuning."""
    keep = keep_adapter if job.values["method"] == "lora" else keep_model
    keep(job, work(job) / "trained")


def resolved(job: Job) -> dict[str, Any]:
    """It leaves its arguments only as a pickle, which is not opened: it refuses unknown keys, so the file that it read is
    what it ran with; the adapter's own configuration is read over it."""
    given = read_yaml(job.folder / CONFIG)
    bits = given.get("quantization_bit")
    named = {
        "method": given.pop("finetuning_type"),
        "quantization": f"{bits}bit" if bits else "none",
        "precision": "bf16" if given.get("bf16") else "fp32",
        "gradient_checkpointing": "no" if given.get("disable_gradient_checkpointing") else "yes",
        "schedule": str(given.pop("lr_scheduler_type")).removesuffix("_with_warmup"),
        "packing": given.pop("packing"),
    }
    if named["method"] == "lora":
        target = given.pop("lora_target")
        named["lora_targets"] = "all-linear" if target == "all" else target.replace(",", ", ")
    adapter = adapter_values(job)
    told = {ours: adapter.get(theirs) for ours, theirs in ADAPTER.items()}
    return given | named | {ours: value for ours, value in told.items() if value is not None}
