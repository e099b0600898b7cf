"""One contender of the benchmark `training`, in a process of its own: `python -m tests.bench._training NAME FOLDER`.

FOLDER is a bundle whose rows and values all contenders share. Prints {"seconds", "tokens", "loss"}: the time from the
first step to the last, the tokens that were read without padding, and the loss on the training rows at the end.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch

from workers.training.failures import Failure
from workers.training.hub_best import BestWeights
from workers.training.hub_chat import ChatEncoder
from workers.training.hub_model import load_base, load_tokenizer, lora_config
from workers.training.hub_settings import settle, this_machine
from workers.training.hub_sft import make_trainer
from workers.training.hub_training import Watcher
from workers.training.job import Job, read_job
from workers.training.reporting import Reporter
from workers.training.starter_training import Row

IGNORED = -100


def labels(row: Row) -> list[int]:
    """The tokens that the loss is taken on, -100 elsewhere."""
    return [token if mark else IGNORED for token, mark in zip(*row, strict=True)]


def model_of(job: Job, values: dict[str, Any]) -> Any:
    """The base model with a fresh adapter, or whole."""
    from peft import get_peft_model

    base = load_base(job, torch.float32, attn_implementation="sdpa")
    base.config.use_cache = False
    return get_peft_model(base, lora_config(values)) if values["method"] == "lora" else base


def builtin(job: Job, values: dict[str, Any], rows: list[Row], encoder: ChatEncoder) -> Any:
    """The built-in trainer as runs use it, with its watcher."""
    (job.folder / "out").mkdir(exist_ok=True)
    watch = Watcher(job, Reporter(job.folder), {}, BestWeights(job.out / "best", 0))
    trainer = make_trainer(job, values, encoder.tokenizer.pad_token_id, (rows, []), watch)
    return trainer.model, trainer.train


def trl(job: Job, values: dict[str, Any], rows: list[Row], encoder: ChatEncoder, **changes: Any) -> Any:
    """TRL's SFTTrainer with its defaults; bf16 off, which only slows a CPU down."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    given = {
        "output_dir": str(job.folder / "trl"), "per_device_train_batch_size": values["batch_size"],
        "num_train_epochs": values["epochs"], "learning_rate": values["learning_rate"], "bf16": False, "use_cpu": True,
        "max_length": values["max_seq_len"], "seed": job.seed, "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "lr_scheduler_type": "cosine", "warmup_steps": 0.1,
    }  # fmt: skip
    trainer = SFTTrainer(
        model=model_of(job, values),
        args=SFTConfig(**given | changes),
        train_dataset=Dataset.from_list([{"input_ids": row[0], "labels": labels(row)} for row in rows]),
        processing_class=encoder.tokenizer,
    )
    return trainer.model, trainer.train


def trl_lean(job: Job, values: dict[str, Any], rows: list[Row], encoder: ChatEncoder) -> Any:
    """TRL without the gradient checkpointing that it does by default."""
    return trl(job, values, rows, encoder, gradient_checkpointing=False)


def trl_packed(job: Job, values: dict[str, Any], rows: list[Row], encoder: ChatEncoder) -> Any:
    """TRL with its packing, without gradient checkpointing."""
    return trl(job, values, rows, encoder, gradient_checkpointing=False, packing=True)


def plain(job: Job, values: dict[str, Any], rows: list[Row], encoder: ChatEncoder) -> Any:
    """A loop of one's own around a model of Transformers: rows of like length together, the model's own loss."""
    from transformers import get_cosine_schedule_with_warmup

    model, chance = model_of(job, values), random.Random(job.seed)
    size, pad = values["batch_size"], encoder.tokenizer.pad_token_id
    order = sorted(range(len(rows)), key=lambda number: len(rows[number][0]))
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    total = len(batches) * values["epochs"]
    weights = [part for part in model.parameters() if part.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=values["learning_rate"], weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(0.1 * total), total)

    def train() -> None:
        model.train()
        for _ in range(values["epochs"]):
            chance.shuffle(batches)
            for batch in batches:
                loss = model(**_padded([rows[number] for number in batch], pad)).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, values["max_grad_norm"])
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()

    return model, train


def _padded(batch: list[Row], pad: int) -> dict[str, torch.Tensor]:
    longest = max(len(ids) for ids, _ in batch)
    room = [longest - len(ids) for ids, _ in batch]
    pairs = list(zip(batch, room, strict=True))
    return {
        "input_ids": torch.tensor([row[0] + [pad] * more for row, more in pairs]),
        "attention_mask": torch.tensor([[1] * len(row[0]) + [0] * more for row, more in pairs]),
        "labels": torch.tensor([labels(row) + [IGNORED] * more for row, more in pairs]),
    }


def final_loss(model: Any, rows: list[Row], pad: int) -> float:
    """The mean loss per answer token over the training rows, by the model's own loss."""
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(rows), 16):
            batch = rows[start : start + 16]
            tokens = sum(sum(row[1][1:]) for row in batch)
            total += float(model(**_padded(batch, pad)).loss) * tokens
            count += tokens
    return total / count


CONTENDERS = {"builtin": builtin, "trl": trl, "trl_lean": trl_lean, "trl_packed": trl_packed, "plain": plain}


def measure(name: str, folder: Path) -> dict[str, float]:
    """Trains once."""
    job = read_job(folder)
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    values = settle(job.values, this_machine())
    encoder = ChatEncoder(load_tokenizer(job), values["max_seq_len"], job.train[0])
    rows = [encoder.row(row) for row in job.train]
    if not rows:
        raise Failure("There are no rows.", "Make the bundle again.")
    model, train = CONTENDERS[name](job, values, rows, encoder)
    began, worked = time.perf_counter(), time.process_time()
    train()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    tokens = values["epochs"] * sum(len(ids) for ids, _ in rows)
    loss = final_loss(model, rows, encoder.tokenizer.pad_token_id)
    return {"seconds": seconds, "processor_seconds": worked, "tokens": tokens, "loss": loss}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
