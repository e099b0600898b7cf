"""Every way of training that the built-in trainer has, on a tiny model: what is saved is read by PEFT and Transformers."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.base_model import make_base
from tests.training.bundles import bundle, job, read, values_of
from workers.training.failures import Failure
from workers.training.hub import encoder_of
from workers.training.hub_best import standing
from workers.training.hub_settings import Machine, settle
from workers.training.hub_sft import train, with_kernels
from workers.training.job import Job, read_job
from workers.training.reporting import Reporter

pytestmark = pytest.mark.train
linux = pytest.mark.skipif(sys.platform != "linux", reason="bitsandbytes is installed on Linux alone")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "small-llama")


def _job(folder: Path, base: Path, rows: tuple[int, int] = (12, 0), **changes: Any) -> Job:
    values = values_of("hf/small-llama", **{"max_seq_len": 64, "epochs": 1, "learning_rate": 5e-3, **changes})
    return read_job(bundle(folder, job("hf/small-llama", values, model_path=str(base)), *rows, 4))


def _train(folder: Path, base: Path, rows: tuple[int, int] = (12, 0), **changes: Any) -> Path:
    """Trains here, without a process of its own; returns the bundle."""
    here = _job(folder, base, rows, **changes)
    values = settle(here.values, Machine(0, frozenset({"bitsandbytes"})))
    saved = here.out / ("adapter" if values["method"] == "lora" else "model")
    train(here, Reporter(folder), values, encoder_of(here, values), saved)
    return folder


def _losses(folder: Path, name: str = "loss") -> list[float]:
    return [point[name] for point in read(folder, "metrics.jsonl") if name in point]


def _adapter(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "out" / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, {"use_dora": True}),
        ({"use_rslora": True}, {"use_rslora": True}),
        ({"use_dora": True, "packing": True, "batch_size": 1}, {"packing": True, "padding_free": True}),
        ({"gradient_checkpointing": "yes"}, {"gradient_checkpointing": True}),
        ({"precision": "bf16"}, {"precision": "bf16", "base_weights": "bfloat16"}),
        ({"attention": "eager", "padding_free": "yes"}, {"attention": "eager", "padding_free": True}),
        ({"lora_targets": "q_proj, v_proj", "lora_dropout": 0.1}, {"lora_targets": "q_proj, v_proj"}),
        pytest.param({"quantization": "4bit"}, {"quantization": "4bit"}, marks=linux),
        pytest.param(
            {"quantization": "4bit", "gradient_checkpointing": "yes", "precision": "bf16", "packing": True},
            {"gradient_checkpointing": True, "base_weights": "bfloat16"},
            marks=linux,
        ),
        pytest.param({"quantization": "4bit", "use_dora": True}, {"use_dora": True}, marks=linux),
        pytest.param({"quantization": "8bit"}, {"quantization": "8bit"}, marks=linux),
    ],
)
def test_an_adapter_is_trained_saved_and_read_by_peft(
    changes: dict[str, Any], said: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = _train(
        tmp_path / "run", base, **{"epochs": 4, "batch_size": 3, "gradient_accumulation": 1, **changes}
    )
    ran = read(folder, "resolved.json")["hyperparameters"]
    assert {name: ran[name] for name in said} == said
    losses = _losses(folder)
    assert losses[-1] < losses[0]
    config = json.loads((folder / "out" / "adapter" / "adapter_config.json").read_text())
    assert (config["use_dora"], config["use_rslora"]) == (ran["use_dora"], ran["use_rslora"])
    assert config["base_model_name_or_path"] == "small-llama"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder / "out" / "adapter")
    moved = [part.abs().max() for name, part in model.named_parameters() if "lora_B" in name]
    assert moved
    assert min(moved) > 0
    assert ("lora_magnitude_vector" in " ".join(_adapter(folder))) is ran["use_dora"]


def test_without_padding_the_same_model_is_trained(base: Path, tmp_path: Path) -> None:
    import torch

    common = {"gradient_accumulation": 2, "batch_size": 3, "epochs": 2}
    joined, padded = (_train(tmp_path / word, base, padding_free=word, **common) for word in ("yes", "no"))
    assert _losses(joined) == pytest.approx(_losses(padded), abs=1e-4)
    other = _adapter(padded)
    for name, value in _adapter(joined).items():
        torch.testing.assert_close(value, other[name], atol=1e-3, rtol=1e-2)


def test_a_batch_in_pieces_gives_the_same_loss(base: Path, tmp_path: Path) -> None:
    """Gradient accumulation is exact: the mean is over the tokens of the step, not of the batch."""
    one = _train(tmp_path / "one", base, batch_size=6, gradient_accumulation=1, shuffle=False, epochs=2)
    pieces = _train(tmp_path / "pieces", base, batch_size=2, gradient_accumulation=3, shuffle=False, epochs=2)
    assert _losses(pieces) == pytest.approx(_losses(one), abs=1e-4)


def test_early_stopping_takes_the_best_weights(base: Path, tmp_path: Path) -> None:
    changes = {"batch_size": 2, "gradient_accumulation": 1, "warmup_ratio": 0.0}
    changes |= {"learning_rate": 0.05, "schedule": "constant"}
    folder = _train(tmp_path / "run", base, (8, 8), epochs=40, early_stopping_patience=2, **changes)
    measured = _losses(folder, "validation_loss")
    assert len(measured) < 40
    best = measured.index(min(measured))
    assert len(measured) == best + 3
    log = (folder / "out" / "log.txt").read_text()
    assert f"takes the weights of step {4 * (best + 1)}, the best ones" in log
    # Training just as long without stopping ends with those weights, where the last ones are others.
    short = _train(tmp_path / "short", base, (8, 8), epochs=best + 1, **changes)
    ours, theirs = _adapter(folder), _adapter(short)
    assert all((value == theirs[name]).all() for name, value in ours.items())


def test_what_is_known_of_early_stopping_survives_a_restart() -> None:
    history = [
        {"loss": 1.0, "step": 1},
        *({"eval_loss": loss, "step": at} for at, loss in ((2, 3.0), (4, 1.0), (6, 1.0))),
    ]
    assert standing(history[:2]) == (2, 0)
    assert standing(history[:3]) == (4, 0)
    assert standing(history) == (4, 1)


@pytest.mark.parametrize(
    ("kinds", "asked", "kept"), [({"llama"}, "yes", True), ({"llama"}, "auto", True), ((), "auto", False)]
)
def test_liger_kernels_are_used_where_they_know_the_model(
    kinds: set[str], asked: str, kept: bool, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _liger(kinds, monkeypatch)
    here = _job(tmp_path / "run", base, liger_kernel=asked)
    assert with_kernels(here, {**here.values, "liger_kernel": True})["liger_kernel"] is kept


def test_liger_kernels_for_another_kind_of_model_are_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _liger({"gemma"}, monkeypatch)
    here = _job(tmp_path / "run", base, liger_kernel="yes")
    with pytest.raises(Failure, match="no Liger kernels for models of the kind 'llama'"):
        with_kernels(here, {**here.values, "liger_kernel": True})


def _liger(kinds: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's list of models that it knows; itself it needs a GPU."""
    package = SimpleNamespace(MODEL_TYPE_TO_APPLY_LIGER_FN=dict.fromkeys(kinds))
    for name in ("liger_kernel", "liger_kernel.transformers"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.monkey_patch", package)


def test_bitsandbytes_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="bitsandbytes, which is not installed"):
        settle(values_of("hf/small-llama", quantization="4bit"), Machine(0, frozenset()))
