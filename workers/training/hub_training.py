"""Arguments of the Trainer, every value written out, its checkpoints, and what happens at its events. Called by hub.py."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

from .failures import Failure
from .files import flush_folder, read_json, write_json
from .hub_best import BestWeights
from .hub_rows import share
from .job import Job
from .machine import EnergyMeter
from .reporting import Reporter
from .starter_training import MOST_POINTS

ADAM_EPSILON = 1e-8
# Written last into a checkpoint of the Trainer: without it the checkpoint is half written and ignored.
MARK = "complete.json"
# A checkpoint may take at most this part of the time.
CHECKPOINT_SHARE = 0.05
# Steps between two questions among several processes whether it is time for one.
ASKED_EVERY = 8


# Values that are the same for every run, written out so that a new version of a toolkit changes none of them.
FIXED: dict[str, Any] = {
    "max_steps": -1,
    "optim": "adamw_torch_fused",
    "adam_epsilon": ADAM_EPSILON,
    "label_smoothing_factor": 0.0,
    "fp16": False,
    "neftune_noise_alpha": None,
    "full_determinism": False,
    "auto_find_batch_size": False,
    "dataloader_num_workers": 0,
    "dataloader_drop_last": False,
    "remove_unused_columns": False,
    "ignore_data_skip": False,
    "average_tokens_across_devices": True,
    "ddp_find_unused_parameters": False,
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
# Recomputing with the older way does not work with frozen weights before the first trained ones.
CHECKPOINTING = {"use_reentrant": False}
# The loss is worked out on the answers alone, which Liger's own loss would take away.
LIGER = {
    "rope": True,
    "rms_norm": True,
    "swiglu": True,
    "cross_entropy": False,
    "fused_linear_cross_entropy": False,
}


def arguments(job: Job, values: dict[str, Any], total: int) -> dict[str, Any]:
    """What TrainingArguments (and the configurations of TRL's trainers, which add to it) are made from; `total` steps.
    Nothing that changes the result is left to a default."""
    import torch

    on_gpu = torch.cuda.is_available()
    constant = values["schedule"] == "constant"
    at_once, steps = share(values)
    return {
        **FIXED,
        "output_dir": str(job.out / "checkpoints"),
        "per_device_train_batch_size": at_once,
        "per_device_eval_batch_size": values["predict_batch_size"],
        "gradient_accumulation_steps": steps,
        "num_train_epochs": values["epochs"],
        "learning_rate": values["learning_rate"],
        "lr_scheduler_type": "constant_with_warmup" if constant else values["schedule"],
        "warmup_steps": round(values["warmup_ratio"] * total),
        "weight_decay": values["weight_decay"],
        "adam_beta1": values["adam_beta1"],
        "adam_beta2": values["adam_beta2"],
        "max_grad_norm": values["max_grad_norm"],
        "bf16": values["precision"] == "bf16",
        "activation_checkpointing": values["gradient_checkpointing"],
        "activation_checkpointing_kwargs": CHECKPOINTING if values["gradient_checkpointing"] else None,
        "use_liger_kernel": values["liger_kernel"],
        "liger_kernel_config": LIGER if values["liger_kernel"] else None,
        "torch_compile": values["torch_compile"],
        "seed": job.seed,
        "data_seed": job.seed,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "logging_steps": math.ceil(total / MOST_POINTS),
        "eval_strategy": "epoch" if job.validation else "no",
        **(sharded(values) if values["distributed"] == "fsdp" else {}),
    }


def sharded(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of PyTorch's fully sharded data parallel: every device holds a part of all weights."""
    return {"fsdp": "full_shard auto_wrap", "fsdp_config": {"fsdp_version": 2, "reshard_after_forward": True}}


def is_first() -> bool:
    """Whether this is the only process that trains, or the first of several: it alone writes what is written once."""
    return os.environ.get("RANK", "0") == "0"


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
    """What happens at each event of the Trainer; `earlier` is the spending before the checkpoint resumed from, `best`
    keeps the best weights."""

    def __init__(
        self, job: Job, reporter: Reporter, earlier: dict[str, Any], best: BestWeights | None = None
    ) -> None:
        self.job, self.reporter, self.earlier, self.best = job, reporter, earlier, best
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
        if done < total and self._is_time(done, args.world_size):
            control.should_save, self.asked = True, time.monotonic()

    def _is_time(self, step: int, processes: int) -> bool:
        """Whether a checkpoint is due. Of several processes the first decides, at every eighth step: all save at once."""
        wait = max(self.job.config["checkpoint_seconds"], self.save_seconds / CHECKPOINT_SHARE)
        due = time.monotonic() - self.saved >= wait
        if processes == 1 or step % ASKED_EVERY:
            return due and processes == 1
        from torch.distributed import broadcast_object_list

        said = [due]
        broadcast_object_list(said)
        return said[0]

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keeps the best weights; stops when the validation loss has not fallen for long enough."""
        if self.best and self.best.look(state.log_history, given["model"]):
            self.reporter.log(f"step {state.global_step}: stops, the validation loss does not fall any more")
            control.should_training_stop = True

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
                preference_margin=logs.get("rewards/margins"),
                preference_accuracy=logs.get("rewards/accuracies"),
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
        """Marks the checkpoint as complete, once every process has written its part."""
        if args.world_size > 1:
            from torch.distributed import barrier

            barrier()
        self.saved = time.monotonic()
        self.save_seconds = self.saved - self.asked
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        flush_folder(folder)
        write_json(folder / MARK, self.spent())


def callback(watch: Watcher) -> Any:
    """`watch` as a TrainerCallback: the class is known only once Transformers is imported."""
    from transformers import TrainerCallback

    events = {
        name: getattr(watch, name)
        for name in (
            "on_train_begin",
            "on_step_end",
            "on_log",
            "on_evaluate",
            "on_epoch_end",
            "on_save",
        )
    }
    return type(
        "Watching", (TrainerCallback,), {name: staticmethod(event) for name, event in events.items()}
    )()


def earlier_spending(checkpoint: Path | None) -> dict[str, Any]:
    """Time and energy up to `checkpoint`."""
    return read_json(checkpoint / MARK) if checkpoint else {}
