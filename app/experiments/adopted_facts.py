"""What the files of a training elsewhere say: hyperparameters with their source, curves, base model. Pure; for adopt.py."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.db import clean
from app.errors import Invalid
from app.experiments.training_args import read_training_args
from app.yaml_text import read_yaml

# Their names for what has a name here. Axolotl and MLflow mostly take those of Transformers.
NAMES = {
    "num_train_epochs": "epochs", "num_epochs": "epochs", "per_device_train_batch_size": "batch_size",
    "micro_batch_size": "batch_size", "gradient_accumulation_steps": "gradient_accumulation",
    "lr_scheduler_type": "schedule", "lr_scheduler": "schedule", "max_length": "max_seq_len", "max_seq_length": "max_seq_len",
    "sequence_len": "max_seq_len", "sample_packing": "packing", "r": "lora_r", "target_modules": "lora_targets",
    "lora_target_modules": "lora_targets", "peft_use_dora": "use_dora", "peft_use_rslora": "use_rslora", "beta": "dpo_beta",
}  # fmt: skip
# Of training_args.bin, which has a value for everything that Transformers knows: what changes a training.
TRAINING = {
    "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "max_steps", "warmup_ratio",
    "warmup_steps", "optim", "seed", "data_seed", "bf16", "fp16", "gradient_checkpointing", "label_smoothing_factor",
    "neftune_noise_alpha", "group_by_length", "padding_free", "assistant_only_loss", "completion_only_loss", "loss_type",
    *NAMES,
}  # fmt: skip
LORA = {"r": "lora_r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "target_modules": "lora_targets",
        "use_dora": "use_dora", "use_rslora": "use_rslora", "bias": "lora_bias"}  # fmt: skip
CURVES = {
    "loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate",
    "rewards/margins": "preference_margin", "rewards/accuracies": "preference_accuracy",
}  # fmt: skip
# Never kept: where things lay, and what opens accounts.
HIDDEN = (
    "token",
    "secret",
    "password",
    "api_key",
    "_dir",
    "_path",
    "path",
    "hub_",
    "wandb",
    "mlflow",
    "datasets",
)
MOST, LONGEST, MOST_POINTS = 200, 500, 200_000


@dataclass
class Adopted:
    """`ledger` in the run's own form, `curves` as (name, step, value), `base` as the training named it."""

    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    curves: list[tuple[str, int, float]] = field(default_factory=list)
    base: str = ""
    seed: int | None = None

    def add(self, values: Mapping[str, Any], source: str) -> None:
        """Values under our names; what a file before said stays."""
        for name, raw in values.items():
            own, value = clean(NAMES.get(name, name)) or "", _value(raw)
            if own == "seed" and type(value) is int and 0 <= value < 2**31 and self.seed is None:
                self.seed = value
            if value is None or own in self.ledger or len(self.ledger) >= MOST or len(own) > 100:
                continue
            self.ledger[own] = {"asked": None, "sent": None, "resolved": value, "source": source}


def read_facts(texts: Mapping[str, bytes]) -> Adopted:
    """From the small files by name. Raises Invalid for one that cannot be read."""
    found = Adopted()
    if data := texts.get("adapter_config.json"):
        config = _json("adapter_config.json", data)
        found.base = str(config.get("base_model_name_or_path") or "")
        found.add({own: config[name] for name, own in LORA.items() if name in config}, "adapter_config.json")
    for name in sorted(name for name in texts if name.endswith((".yml", ".yaml"))):
        config = read_yaml(texts[name].decode("utf-8", "replace")) or {}
        if isinstance(config, dict):
            found.base = found.base or str(config.get("base_model") or config.get("model_name_or_path") or "")
            found.add({str(key): value for key, value in config.items() if _public(str(key))}, name)
    if data := texts.get("mlflow_run.json"):
        _mlflow(found, _json("mlflow_run.json", data))
    if data := texts.get("training_args.bin"):
        values = read_training_args(data)
        found.add({name: value for name, value in values.items() if name in TRAINING}, "training_args.bin")
    if data := texts.get("trainer_state.json"):
        _state(found, _json("trainer_state.json", data))
    if not found.base and (data := texts.get("config.json")):
        found.base = str(_json("config.json", data).get("_name_or_path") or "")
    return found


def _state(found: Adopted, state: Mapping[str, Any]) -> None:
    plain = {"num_train_epochs": "epochs", "train_batch_size": "batch_size", "max_steps": "max_steps"}
    found.add({own: state[name] for name, own in plain.items() if state.get(name)}, "trainer_state.json")
    history = state.get("log_history")
    for line in history if isinstance(history, list) else ():
        for name, own in CURVES.items() if isinstance(line, dict) else ():
            _point(found, own, line.get("step"), line.get(name))


def _mlflow(found: Adopted, run: Mapping[str, Any]) -> None:
    params, metrics = run.get("params"), run.get("metrics")
    given = params if isinstance(params, dict) else {}
    said = {name: _number(value) for name, value in given.items() if _public(name)}
    found.base = found.base or str(
        said.get("model_name_or_path") or said.get("_name_or_path") or said.get("base_model") or ""
    )
    # Transformers logs all of its configuration there: hundreds of values, of which these change a training.
    known = {name: value for name, value in said.items() if name in TRAINING or name in LORA}
    found.add(known if len(said) > MOST else said, "MLflow")
    for name, points in metrics.items() if isinstance(metrics, dict) else ():
        own = CURVES.get(name.removeprefix("train/"), "")
        for point in points if own and isinstance(points, list) else ():
            if isinstance(point, list) and len(point) == 2:
                _point(found, own, *point)


def _point(found: Adopted, name: str, step: Any, value: Any) -> None:
    if type(step) is not int or not 0 <= step < 2**31 or type(value) not in (int, float):
        return
    if abs(value) < 1e300 and value == value:
        found.curves.append((name, step, float(value)))
    if len(found.curves) > MOST_POINTS:
        raise Invalid(
            f"The curves have more than {MOST_POINTS:,} points.", "Leave trainer_state.json out of the zip."
        )


def _value(raw: Any) -> Any:
    """A value as the ledger keeps it; None for what says nothing."""
    if isinstance(raw, list) and all(isinstance(each, str | int | float) for each in raw):
        raw = ", ".join(map(str, raw[:LONGEST])) or None
    if isinstance(raw, str):
        return clean(raw[:LONGEST])
    if isinstance(raw, int | float) and not abs(raw) < 1e300:
        return None
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 1e9:
        return int(raw)
    return raw if isinstance(raw, int | float) else None


def _number(text: Any) -> Any:
    """MLflow keeps every parameter as text."""
    try:
        return json.loads(str(text))
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(str(text), str(text))


def _public(name: str) -> bool:
    return not any(word in name.lower() for word in HIDDEN)


def _json(name: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid(f"{name} is no JSON object.", "Send the folder as the training left it.")
    return found
