"""The starter's training loop: AdamW on batches of rows of like length. Called by starter.py."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoints import load_checkpoint, save_checkpoint
from .failures import Failure
from .machine import EnergyMeter
from .reporting import Reporter

# Points on the curve: more only make the page slow.
MOST_POINTS = 1000
ADAM_EPSILON = 1e-8
IGNORED = -100
Row = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class Plan:
    """What the loop needs beside the model."""

    values: dict[str, Any]
    seed: int
    pad: int
    checkpoints: Path
    checkpoint_seconds: float


def epoch_batches(
    lengths: list[int], size: int, seed: int, epoch: int, shuffle: bool = True
) -> list[list[int]]:
    """Numbers of rows, batch by batch: rows of like length together, batches in random order; or without
    `shuffle` all rows in the order of the file, the same in every epoch.

    A function of its arguments alone, so that a resumed run sees what the first would have seen.
    """
    chance = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    if shuffle:
        chance.shuffle(order)
        order.sort(key=lengths.__getitem__)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if shuffle:
        chance.shuffle(batches)
    return batches


def rate_at(step: int, total: int, values: dict[str, Any]) -> float:
    """The learning rate of step `step` (from 0) of `total`: linear warm-up, then the schedule down to 0."""
    highest, warm = values["learning_rate"], max(1, round(values["warmup_ratio"] * total))
    if step < warm:
        return float(highest * (step + 1) / warm)
    done = (step - warm) / max(1, total - warm)
    if values["schedule"] == "cosine":
        return float(highest * 0.5 * (1 + math.cos(math.pi * done)))
    return float(highest * (1 - done) if values["schedule"] == "linear" else highest)


def make_optimizer(model: Any, values: dict[str, Any]) -> Any:
    """AdamW; no weight decay on norms (vectors) and embeddings."""
    import torch

    embedding = model.get_input_embeddings().weight
    free = [part for part in model.parameters() if part.ndim < 2 or part is embedding]
    decayed = [part for part in model.parameters() if part.ndim >= 2 and part is not embedding]
    groups = [
        {"params": decayed, "weight_decay": values["weight_decay"]},
        {"params": free, "weight_decay": 0.0},
    ]
    betas = (values["adam_beta1"], values["adam_beta2"])
    return torch.optim.AdamW(groups, lr=values["learning_rate"], betas=betas, eps=ADAM_EPSILON, fused=True)


def batch_loss(model: Any, rows: list[Row], pad: int, row_weight: float) -> tuple[Any, Any]:
    """(loss to minimise, loss on the answers alone), both means over tokens in nats.

    Padding stands on the right: later tokens are invisible to earlier ones, so no mask is needed.
    """
    import torch
    from torch.nn.functional import cross_entropy

    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows], device=model.device)
    everything = torch.tensor(
        [ids[1:] + [IGNORED] * (longest - len(ids)) for ids, _ in rows], device=model.device
    )
    answers = torch.tensor(
        [trained[1:] + [False] * (longest - len(trained)) for _, trained in rows], device=model.device
    )
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    if not row_weight:
        loss = cross_entropy(model.lm_head(hidden[answers]).float(), everything[answers])
        return loss, loss.detach()
    logits = model.lm_head(hidden).float()
    each = cross_entropy(logits.transpose(1, 2), everything, ignore_index=IGNORED, reduction="none")
    answer = each[answers].mean()
    return answer + row_weight * each[everything != IGNORED].mean(), answer.detach()


def validation_loss(model: Any, rows: list[Row], pad: int, size: int) -> float | None:
    """Mean loss per answer token of the validation part; None where there is none."""
    import torch

    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: len(row[0]))
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(ordered), size):
            batch = ordered[start : start + size]
            tokens = sum(sum(trained[1:]) for _, trained in batch)
            if tokens:
                total += float(batch_loss(model, batch, pad, 0.0)[1]) * tokens
                count += tokens
    return total / count if count else None


def train(
    model: Any, rows: list[Row], validation: list[Row], plan: Plan, reporter: Reporter
) -> dict[str, Any]:
    """Trains from the newest checkpoint to the end; returns {"train_seconds", "energy_joules"} of all starts."""
    values, size = plan.values, plan.values["batch_size"]
    lengths = [len(ids) for ids, _ in rows]
    per_epoch = math.ceil(len(rows) / size)
    total = per_epoch * values["epochs"]
    optimizer = make_optimizer(model, values)
    state = load_checkpoint(plan.checkpoints, model, optimizer)
    first = int(state.get("step", 0))
    if first:
        reporter.log(f"goes on after step {first} of {total}")
    spent = _meter(state)
    saved = time.monotonic()
    batches: list[list[int]] = []
    model.train()
    for step in range(first, total):
        epoch, place = divmod(step, per_epoch)
        if not batches or place == 0:
            batches = epoch_batches(lengths, size, plan.seed, epoch, values["shuffle"])
        begun = time.perf_counter()
        batch = [rows[number] for number in batches[place]]
        point = _step(model, optimizer, batch, plan, step, total)
        point["tokens_per_second"] = sum(len(ids) for ids, _ in batch) / (time.perf_counter() - begun)
        epoch_ends = place == per_epoch - 1
        if epoch_ends:
            point["validation_loss"] = validation_loss(model, validation, plan.pad, size)
            reporter.log(f"epoch {epoch + 1} of {values['epochs']}, step {step + 1}: {_losses(point)}")
        if epoch_ends or step % math.ceil(total / MOST_POINTS) == 0:
            reporter.point(step + 1, **point)
        where = f"step {step + 1:,} of {total:,}, epoch {epoch + 1} of {values['epochs']}"
        reporter.progress("training", (step + 1) / total, where)
        if time.monotonic() - saved >= plan.checkpoint_seconds:
            save_checkpoint(plan.checkpoints, step + 1, model, optimizer, spent())
            saved = time.monotonic()
    return spent()


def _losses(point: dict[str, float | None]) -> str:
    held_out = point["validation_loss"]
    text = f"loss {point['loss']:.4f}"
    return text if held_out is None else f"{text}, validation loss {held_out:.4f}"


def _step(
    model: Any, optimizer: Any, batch: list[Row], plan: Plan, step: int, total: int
) -> dict[str, float | None]:
    """One update; returns the loss on the answers and the learning rate as a point of the curves."""
    import torch

    rate = rate_at(step, total, plan.values)
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss, answer = batch_loss(model, batch, plan.pad, plan.values["row_loss_weight"])
    if not torch.isfinite(loss):
        raise Failure(
            f"The loss became {float(loss)} at step {step + 1}: training diverged.",
            "Lower the learning rate (a tenth is a good first try) or raise the warm-up.",
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.values["max_grad_norm"])
    optimizer.step()
    return {"loss": float(answer), "learning_rate": rate}


def _meter(state: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A function that gives time and energy so far, with those of earlier starts."""
    begun, meter = time.monotonic(), EnergyMeter()
    seconds, joules = float(state.get("train_seconds") or 0), state.get("energy_joules")

    def spent() -> dict[str, Any]:
        fresh = meter.joules()
        return {
            "train_seconds": seconds + time.monotonic() - begun,
            "energy_joules": None if fresh is None else fresh + (joules or 0),
        }

    return spent
