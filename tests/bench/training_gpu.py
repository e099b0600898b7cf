"""Trained tokens per second and model-FLOPs utilisation of the built-in trainer on one GPU: a model of random weights in
the shape of an 8 B Llama, LoRA r 16 on all linear layers, bf16; packed rows of 4,096 tokens, and real short rows.

`python -m tests.bench training_gpu`; says so where there is no GPU. Utilisation is 4 floating-point operations per
parameter and token (forward, and the way back without the frozen weights' gradients; attention not counted) over the
card's dense bf16 peak as its maker gives it. TRAINING_GPU_STEPS (20) steps are timed after 3 that warm up.
"""

import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import Figure, at_least

STEPS = int(os.environ.get("TRAINING_GPU_STEPS", "20"))
WARM_UP = 3
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
LORA_FLOPS = 4
LLAMA_8B = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128_256, "max_position_embeddings": 8192, "rope_theta": 500_000.0,
}  # fmt: skip
PACKED, SHORT_ROWS = 4096, 64
# A batch of short rows holds about as many tokens as one of packed rows, in rows of 40 to 250 tokens.
SHORTEST, LONGEST, ANSWER = 40, 250, 4


def figures() -> Iterator[Figure]:
    """Rate and utilisation on packed rows; the rate on short rows as a part of it."""
    import torch

    if not torch.cuda.is_available():
        print("# training_gpu: no GPU here, nothing was measured", flush=True)
        return
    card = torch.cuda.get_device_name()
    packed = measure(LLAMA_8B, full_rows(2 * (STEPS + WARM_UP), PACKED), 2, {})
    print(
        f"# {card}: {packed['parameters'] / 1e9:.2f} B parameters, {packed['gigabytes']:.1f} GB", flush=True
    )
    yield at_least("training_gpu_packed_rows", packed["rate"], "tokens/s", 15_000)
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in card), None)
    if peak:
        used = packed["rate"] * LORA_FLOPS * packed["parameters"] / peak
        yield at_least("training_gpu_utilisation", used, "of the peak", 0.5)
    short = measure(LLAMA_8B, short_rows(SHORT_ROWS * (STEPS + WARM_UP)), SHORT_ROWS, {"padding_free": "yes"})
    yield at_least("training_gpu_short_rows_over_packed", short["rate"] / packed["rate"], "times", 0.8)


def full_rows(count: int, length: int) -> list[tuple[list[int], list[bool]]]:
    """Rows without any room, every token trained on."""
    chance = random.Random(1)
    return [(chance.choices(range(10, 256), k=length), [True] * length) for _ in range(count)]


def short_rows(count: int) -> list[tuple[list[int], list[bool]]]:
    """Rows as classification has them: a prompt and a short answer."""
    chance = random.Random(1)
    lengths = [chance.randint(SHORTEST, LONGEST) for _ in range(count)]
    return [
        (chance.choices(range(10, 256), k=length), [False] * (length - ANSWER) + [True] * ANSWER)
        for length in lengths
    ]


def measure(
    shape: dict[str, Any], rows: list[tuple[list[int], list[bool]]], at_once: int, changes: dict[str, Any]
) -> dict[str, float]:
    """{"rate": real tokens per second after the warm-up, "parameters", "gigabytes": the most memory}."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from app.trainers.builtin.fields import hyperparameters
    from workers.training.hub_settings import settle, this_machine
    from workers.training.hub_sft import attention_of, make_trainer, ready, weights_dtype
    from workers.training.hub_training import Watcher
    from workers.training.job import Job
    from workers.training.reporting import Reporter

    values = {field.name: field.default for field in hyperparameters("hf/bench")} | {
        "epochs": 1, "batch_size": at_once, "gradient_accumulation": 1, "max_seq_len": PACKED, "devices": 1,
        "gradient_checkpointing": os.environ.get("TRAINING_GPU_CHECKPOINTING", "no"), **changes,
    }  # fmt: skip
    values = settle(values, replace(this_machine(), gpus=min(1, torch.cuda.device_count())))

    def load(_: Any, settled: dict[str, Any]) -> Any:
        config = LlamaConfig(**shape, attn_implementation=attention_of(settled))
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = LlamaForCausalLM._from_config(config, dtype=weights_dtype(settled))
        return ready(model, settled)

    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        (Path(folder) / "out").mkdir()
        config = {"checkpoint_seconds": 1e9}
        job = Job(Path(folder), config, "bench", "hf", "hf/bench", folder, "text", [], values, 1, 1, 8)
        trainer = make_trainer(job, values, 0, (rows, []), Watcher(job, Reporter(job.folder), {}), load)
        parameters = sum(
            part.numel() for part in trainer.model.get_base_model().parameters() if not part.requires_grad
        )
        clock = _Clock(trainer, WARM_UP)
        trainer.train()
    rate = (trainer.tokens - clock.tokens) / (time.perf_counter() - clock.began)
    most = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    return {"rate": rate, "parameters": parameters, "gigabytes": most}


class _Clock:
    """Starts when the warm-up is over: what is queued on the GPU by then has been done."""

    def __init__(self, trainer: Any, steps: int) -> None:
        from transformers import TrainerCallback

        self._trainer, self._steps = trainer, steps
        self.began, self.tokens = time.perf_counter(), 0
        event = {"on_step_end": staticmethod(self.on_step_end)}
        trainer.add_callback(type("Clocking", (TrainerCallback,), event)())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the last step of the warm-up."""
        import torch

        if state.global_step != self._steps:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.began, self.tokens = time.perf_counter(), self._trainer.tokens
