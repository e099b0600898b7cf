"""Trains a Hugging Face model with TRL's SFTTrainer, every value written out. Called by hub.py."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import flush_folder, read_json, write_json
from .job import Job
from .machine import EnergyMeter
from .reporting import Reporter
from .starter_training import MOST_POINTS, Row

IGNORED = -100
ADAM_EPSILON = 1e-8
# Written last into a checkpoint of the Trainer: without it the checkpoint is half written and ignored.
MARK = "complete.json"
# A checkpoint may take at most this part of the time.
CHECKPOINT_SHARE = 0.05


# Values that are the same for every run, written out so that a new version of a toolkit changes none of them.
FIXED: dict[str, Any] = {
    "max_steps": -1,
    "optim": "adamw_torch",
    "adam_epsilon": ADAM_EPSILON,
    "label_smoothing_factor": 0.0,
    "fp16": False,
    "activation_offloading": False,
    "packing": False,
    "padding_free": False,
    "truncation_mode": "keep_start",
    "completion_only_loss": None,
    "assistant_only_loss": False,
    "loss_type": "nll",
    "neftune_noise_alpha": None,
    # Rows come as tokens already and cut, so that training and asking see the same ones.
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "shuffle_dataset": False,
    "full_determinism": False,
    "use_liger_kernel": False,
    "torch_compile": False,
    "auto_find_batch_size": False,
    "dataloader_num_workers": 0,
    "dataloader_drop_last": False,
    "remove_unused_columns": True,
    "ignore_data_skip": False,
    "average_tokens_across_devices": False,
    "logging_strategy": "steps",
    "logging_first_step": False,
    "logging_nan_inf_filter": False,
    "prediction_loss_only": True,
    "load_best_model_at_end": False,
    # The watcher asks for checkpoints by time. Two are kept: the newest may be half written.
    "save_strategy": "no",
    "save_only_model": False,
    "save_total_limit": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "push_to_hub": False,
}


def steps_in_all(items: int, values: dict[str, Any]) -> int:
    """Optimizer steps of the whole training."""
    batches = math.ceil(items / values["batch_size"])
    return math.ceil(batches / values["gradient_accumulation"]) * int(values["epochs"])


def arguments(job: Job, values: dict[str, Any], items: int, on_gpu: bool) -> Any:
    """The SFTConfig: nothing that changes the result is left to a default."""
    from trl import SFTConfig

    total = steps_in_all(items, values)
    constant = values["schedule"] == "constant"
    return SFTConfig(
        **FIXED,
        output_dir=str(job.out / "checkpoints"),
        per_device_train_batch_size=values["batch_size"],
        per_device_eval_batch_size=values["predict_batch_size"],
        gradient_accumulation_steps=values["gradient_accumulation"],
        num_train_epochs=values["epochs"],
        learning_rate=values["learning_rate"],
        lr_scheduler_type="constant_with_warmup" if constant else values["schedule"],
        warmup_steps=round(values["warmup_ratio"] * total),
        weight_decay=values["weight_decay"],
        adam_beta1=values["adam_beta1"],
        adam_beta2=values["adam_beta2"],
        max_grad_norm=values["max_grad_norm"],
        bf16=values["precision"] == "bf16",
        gradient_checkpointing=values["gradient_checkpointing"],
        max_length=values["max_seq_len"],
        seed=job.seed,
        data_seed=job.seed,
        train_sampling_strategy="random" if values["shuffle"] else "sequential",
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        logging_steps=math.ceil(total / MOST_POINTS),
        eval_strategy="epoch" if job.validation else "no",
    )


def dataset(rows: list[Row]) -> Any:
    """Rows as TRL's collator reads them: `labels` hold the trained tokens and -100 elsewhere."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": ids,
                "labels": [token if mark else IGNORED for token, mark in zip(ids, trained, strict=True)],
            }
            for ids, trained in rows
        ]
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; half written ones are removed."""
    complete = {}
    for path in folder.glob("checkpoint-*"):
        if (path / MARK).is_file():
            complete[int(path.name.partition("-")[2])] = path
        else:
            shutil.rmtree(path, ignore_errors=True)
    return complete[max(complete)] if complete else None


class Watcher:
    """What happens at each event of the Trainer; `earlier` is the spending before the checkpoint resumed from."""

    def __init__(self, job: Job, reporter: Reporter, earlier: dict[str, Any]) -> None:
        self.job, self.reporter, self.earlier = job, reporter, earlier
        self.meter, self.begun = EnergyMeter(), time.monotonic()
        self.saved = self.logged = time.monotonic()
        self.tokens = 0.0
        self.save_seconds = 0.0
        self.asked = 0.0

    def spent(self) -> dict[str, Any]:
        """Time and energy so far, earlier starts included."""
        fresh = self.meter.joules()
        return {
            "train_seconds": (self.earlier.get("train_seconds") or 0) + time.monotonic() - self.begun,
            "energy_joules": None if fresh is None else fresh + (self.earlier.get("energy_joules") or 0),
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Time counts from here: loading is no training."""
        self.begun = self.saved = self.logged = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Shows progress; asks for a checkpoint when it is time."""
        done, total = state.global_step, state.max_steps
        self.reporter.progress(
            "training",
            done / total,
            f"step {done:,} of {total:,}, epoch {state.epoch:.1f} of {args.num_train_epochs:g}",
        )
        wait = max(self.job.config["checkpoint_seconds"], self.save_seconds / CHECKPOINT_SHARE)
        if time.monotonic() - self.saved >= wait and done < total:
            control.should_save, self.asked = True, time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Writes the points of the curves."""
        logs: dict[str, Any] = given["logs"]
        step = state.global_step
        if "loss" in logs:
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise Failure(
                    f"The loss became {loss} at step {step}: training diverged.",
                    "Lower the learning rate (a tenth is a good first try) or raise the warm-up.",
                )
            self.reporter.point(
                step,
                loss=loss,
                learning_rate=logs.get("learning_rate"),
                tokens_per_second=self._speed(logs),
            )
        if "eval_loss" in logs:
            self.reporter.point(step, validation_loss=float(logs["eval_loss"]))
            self.reporter.log(f"step {step}: validation loss {float(logs['eval_loss']):.4f}")

    def _speed(self, logs: dict[str, Any]) -> float | None:
        tokens, at = float(logs.get("num_tokens") or 0), time.monotonic()
        gained, spent = tokens - self.tokens, at - self.logged
        self.tokens, self.logged = tokens, at
        return gained / spent if gained > 0 and spent > 0 else None

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One line for the log."""
        last = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None)
        self.reporter.log(
            f"epoch {round(state.epoch)} of {args.num_train_epochs:g}, step {state.global_step}: loss {last}"
        )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Marks the checkpoint as complete."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        flush_folder(folder)
        write_json(folder / MARK, self.spent())
        self.saved = time.monotonic()
        self.save_seconds = self.saved - self.asked


def callback(watch: Watcher) -> Any:
    """`watch` as a TrainerCallback: the class is known only once Transformers is imported."""
    from transformers import TrainerCallback

    events = {
        name: getattr(watch, name)
        for name in ("on_train_begin", "on_step_end", "on_log", "on_epoch_end", "on_save")
    }
    return type(
        "Watching", (TrainerCallback,), {name: staticmethod(event) for name, event in events.items()}
    )()


def earlier_spending(checkpoint: Path | None) -> dict[str, Any]:
    """Time and energy up to `checkpoint`."""
    return read_json(checkpoint / MARK) if checkpoint else {}
