"""What trains with KerasHub: `python keras_gemma.py CONFIG.json`, LoRA on a Gemma folder in Hugging Face's form.

Stands alone: started by kerashub.py by its path. Writes OUTPUT/metrics.jsonl and, in PEFT's form, OUTPUT/adapter.
"""

import json
import math
import os
import random
import sys
from pathlib import Path
from typing import Any

KEYS = {
    "model", "backend", "dtype", "model_parallel", "seed", "method", "lora", "data", "max_length", "epochs", "batch_size",
    "gradient_accumulation_steps", "learning_rate", "schedule", "steps", "warmup_steps", "weight_decay", "beta_1",
    "beta_2", "global_clipnorm", "output",
}  # fmt: skip
# Keras' names of Gemma's linear layers, and where Hugging Face has them.
PLACES = {
    "query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj",
    "attention_output": "self_attn.o_proj", "ffw_gating": "mlp.gate_proj", "ffw_gating_2": "mlp.up_proj",
    "ffw_linear": "mlp.down_proj",
}  # fmt: skip
# Lengths are rounded up to this, so that few shapes are compiled.
LENGTHS = 32


def main(file: str) -> None:
    """Trains by the configuration."""
    config = json.loads(Path(file).read_text(encoding="utf-8"))
    if set(config) != KEYS:
        raise SystemExit(f"{file} has other keys than expected: {', '.join(sorted(set(config) ^ KEYS))}.")
    os.environ["KERAS_BACKEND"] = config["backend"]
    import keras

    keras.utils.set_random_seed(config["seed"])
    _distribute(config)
    model, backbone = _load(config)
    rows = [json.loads(line) for line in Path(config["data"]).read_text(encoding="utf-8").splitlines()]
    schedule = _schedule(config)
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config["weight_decay"], beta_1=config["beta_1"], beta_2=config["beta_2"],
        epsilon=1e-8, global_clipnorm=config["global_clipnorm"],
        gradient_accumulation_steps=_accumulation(config),
    )  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(optimizer=optimizer, loss=loss, jit_compile=config["backend"] == "jax")
    model.fit(
        _batches(config, rows), epochs=config["epochs"], callbacks=[_report(config, schedule)], verbose=0
    )
    _save(config, backbone)


def _accumulation(config: dict[str, Any]) -> int | None:
    count = int(config["gradient_accumulation_steps"])
    return count if count > 1 else None


def _distribute(config: dict[str, Any]) -> None:
    """A mesh of all accelerators, (batch, model): one axis splits the rows, the other each weight."""
    import keras

    devices = keras.distribution.list_devices() if config["backend"] == "jax" else []
    split = config["model_parallel"]
    if len(devices) < 2 and split == 1:
        return
    if len(devices) % split or config["batch_size"] % (len(devices) // split):
        raise SystemExit(
            f"{len(devices)} accelerators cannot be laid out as batch x {split} for batches of {config['batch_size']}."
        )
    from keras_hub.models import GemmaBackbone

    mesh = keras.distribution.DeviceMesh((len(devices) // split, split), ("batch", "model"), devices)
    layout = GemmaBackbone.get_layout_map(mesh)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
    )
    print(f"{len(devices)} accelerators as {len(devices) // split} x {split} (batch x model)")


def _load(config: dict[str, Any]) -> tuple[Any, Any]:
    """(tokens to logits, Gemma within it) with LoRA on the layers that are named, everything else frozen."""
    import keras
    import keras_hub

    backbone = keras_hub.models.GemmaBackbone.from_preset(config["model"], dtype=config["dtype"])
    backbone.trainable = True
    found = set()
    for layer in backbone._flatten_layers(include_self=False):
        layer.trainable = False
    for block in backbone.transformer_layers:
        for layer in block._flatten_layers(include_self=False):
            if layer.name in config["lora"]["layers"]:
                layer.trainable = True
                layer.enable_lora(config["lora"]["rank"], lora_alpha=config["lora"]["alpha"])
                found.add(layer.name)
    missing = set(config["lora"]["layers"]) - found
    if missing:
        raise SystemExit(f"This model has no layer named {', '.join(sorted(missing))}.")
    whole = keras_hub.models.GemmaCausalLM(backbone=backbone, preprocessor=None)
    # KerasHub's own class would take the batches apart, and their order away.
    return keras.Model(whole.inputs, whole.outputs), backbone


def _schedule(config: dict[str, Any]) -> Any:
    """Linear warm-up, then the schedule down to 0, as in Transformers."""
    import keras
    from keras import ops

    warmup, steps, highest = config["warmup_steps"], config["steps"], config["learning_rate"]

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            done = ops.clip((step - warmup) / max(1, steps - warmup), 0.0, 1.0)
            after = {
                "cosine": 0.5 * (1.0 + ops.cos(math.pi * done)),
                "linear": 1.0 - done,
                "constant": ops.ones_like(done),
            }[config["schedule"]]
            return highest * ops.where(step < warmup, step / max(1, warmup), after)

    return Schedule()


def _batches(config: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    """Batches of one shape in a new order each epoch; rows of zeros without weight fill the last one."""
    import keras
    import numpy as np

    size = config["batch_size"]
    longest = min(max(len(row["input_ids"]) for row in rows), config["max_length"]) - 1
    length = -(-longest // LENGTHS) * LENGTHS
    chance, order = random.Random(config["seed"]), list(range(len(rows)))
    chance.shuffle(order)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-len(rows) // size)

        def __getitem__(self, number: int) -> Any:
            x, y = np.zeros((size, length), "int32"), np.zeros((size, length), "int32")
            mask, weight = np.zeros((size, length), "int32"), np.zeros((size, length), "float32")
            for place, row in enumerate(order[number * size : (number + 1) * size]):
                tokens, labels = np.array(rows[row]["input_ids"]), np.array(rows[row]["labels"])[1:]
                count = len(labels)
                x[place, :count], y[place, :count] = tokens[:-1], np.maximum(labels, 0)
                mask[place, :count], weight[place, :count] = 1, labels >= 0
            return {"token_ids": x, "padding_mask": mask}, y, weight

        def on_epoch_end(self) -> None:
            chance.shuffle(order)

    return Batches()


def _report(config: dict[str, Any], schedule: Any) -> Any:
    """Writes a line for each batch: the loss of that batch alone (Keras tells the mean since the epoch began)."""
    import keras
    from keras import ops

    file, every = Path(config["output"]) / "metrics.jsonl", config["gradient_accumulation_steps"]

    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.step, self.sum, self.count = 0, 0.0, 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.sum, self.count = 0.0, 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            # Asked for again: while JAX trains, the optimizer's own counter is away.
            rate = float(ops.convert_to_numpy(schedule(self.step // every)))
            self.step, self.count = self.step + 1, self.count + 1
            loss = float(logs["loss"]) * self.count - self.sum
            self.sum += loss
            batches = config["epochs"] * self.params["steps"]
            line = {"step": self.step, "of": batches, "loss": loss, "learning_rate": rate}
            with file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(line) + "\n")

    return Report()


def _save(config: dict[str, Any], backbone: Any) -> None:
    """The trained matrices as PEFT reads them, which is exact: where Keras has a matrix A for each head, PEFT has one of
    rank heads x r, with alpha larger in the same measure."""
    from safetensors.numpy import save_file

    rank, alpha = config["lora"]["rank"], config["lora"]["alpha"]
    tensors, ranks = {}, {}
    for number, block in enumerate(backbone.transformer_layers):
        for layer in block._flatten_layers(include_self=False):
            if getattr(layer, "lora_enabled", False):
                a, b = _matrices(layer)
                place = PLACES[layer.name]
                before = f"base_model.model.model.layers.{number}.{place}"
                tensors[f"{before}.lora_A.weight"], tensors[f"{before}.lora_B.weight"] = a, b
                ranks[place.rpartition(".")[2]] = a.shape[0]
    folder = Path(config["output"]) / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    odd = {name: found for name, found in ranks.items() if found != rank}
    about = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": config["model"], "r": rank,
        "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "inference_mode": True,
        "target_modules": sorted(ranks), "rank_pattern": odd,
        "alpha_pattern": {name: alpha * found // rank for name, found in odd.items()},
    }  # fmt: skip
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def _matrices(layer: Any) -> tuple[Any, Any]:
    """(A, B) of a layer with PEFT's shapes (rank, in) and (out, rank); the update of its weight is B A alpha / r."""
    import numpy as np
    from keras import ops

    a = np.asarray(ops.convert_to_numpy(layer.lora_kernel_a), "float32")
    b = np.asarray(ops.convert_to_numpy(layer.lora_kernel_b), "float32")
    if layer.name == "attention_output":
        # (heads, head size, r) and (r, out): heads and their size are one input.
        a = a.reshape(-1, a.shape[-1])
    if a.ndim == 2:
        return np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    # (heads, in, r) and (r, head size): head by head, side by side.
    heads, size, rank = a.shape[0], b.shape[1], a.shape[2]
    whole = np.zeros((heads * size, heads * rank), "float32")
    for head in range(heads):
        whole[head * size : (head + 1) * size, head * rank : (head + 1) * rank] = b.T
    return np.ascontiguousarray(a.transpose(0, 2, 1).reshape(heads * rank, -1)), whole


if __name__ == "__main__":
    main(*sys.argv[1:])
