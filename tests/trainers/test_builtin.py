"""The built-in trainer's choices, estimates and bundles."""

import ast
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import settings
from app.trainers.builtin import TRAINER
from app.trainers.builtin.estimate import parameters
from app.trainers.builtin.memory import held_bytes, memory_bytes, shape_of
from tests.training.bundles import job, values_of

FACTS: dict[str, Any] = {
    "task": "classification",
    "labels": ("a", "b"),
    "train_items": 2002,
    "validation_items": 0,
    "test_items": 501,
    "mean_tokens": 115.0,
    "max_tokens": 160,
    "mean_characters": 400.0,
    "groups": {},
}
MODELS = ("starter/tiny", "starter/small", "hf/acme/model-0.5B")


@pytest.mark.parametrize("model", MODELS)
@given(
    items=st.integers(2, 10**7),
    longest=st.integers(0, 10**6),
    task=st.sampled_from(["classification", "number", "text"]),
)
def test_what_is_suggested_is_allowed(model: str, items: int, longest: int, task: str) -> None:
    facts = FACTS | {"train_items": items, "max_tokens": longest, "task": task}
    values = TRAINER.suggest(model, facts)
    fields = TRAINER.hyperparameters(model)
    assert set(values) == {field.name for field in fields}
    for field in fields:
        assert field.parse(str(values[field.name])) == values[field.name]


def test_the_published_recipe_on_2000_items() -> None:
    values = TRAINER.suggest("starter/tiny", FACTS)
    assert (values["epochs"], values["vocabulary"], values["row_loss_weight"]) == (12, 1024, 0.3)
    assert (values["learning_rate"], values["batch_size"], values["max_seq_len"]) == (2e-3, 32, 512)


@pytest.mark.parametrize("model", MODELS)
def test_few_items_get_more_epochs_and_many_fewer(model: str) -> None:
    epochs = [TRAINER.suggest(model, FACTS | {"train_items": n})["epochs"] for n in (50, 2002, 200_000)]
    assert epochs[0] > epochs[1] > epochs[2] >= 2


@pytest.mark.parametrize("model", MODELS)
def test_every_preset_is_allowed(model: str) -> None:
    fields = {field.name: field for field in TRAINER.hyperparameters(model)}
    for values in TRAINER.presets(model).values():
        for name, value in values.items():
            assert fields[name].parse(value) == value


def test_lora_r_8_alpha_32_is_a_preset() -> None:
    preset = TRAINER.presets("hf/acme/model")["LoRA r 8, alpha 32"]
    assert (preset["method"], preset["lora_r"], preset["lora_alpha"]) == ("lora", 8, 32)
    assert TRAINER.presets("hf/acme/model")["Full fine-tuning"]["method"] == "full"


def test_problems_are_said_before_launch() -> None:
    values = TRAINER.suggest("starter/tiny", FACTS)
    assert TRAINER.problems("starter/tiny", FACTS, values) == []
    [few] = TRAINER.problems("starter/tiny", FACTS | {"train_items": 4}, values)
    assert "4 training items" in few
    [long] = TRAINER.problems("starter/tiny", FACTS | {"max_tokens": 900}, values)
    assert "900" in long
    assert "512" in long
    assert TRAINER.problems("starter/tiny", FACTS | {"max_tokens": 900}, values | {"max_seq_len": 1024}) == []


def test_estimates_grow_with_the_work_and_shrink_with_cores() -> None:
    values = TRAINER.suggest("starter/tiny", FACTS)
    two = TRAINER.estimate("starter/tiny", FACTS, values, 2)
    assert 90 < two["seconds"] < 260
    assert TRAINER.estimate("starter/tiny", FACTS, values, 1)["seconds"] > two["seconds"]
    assert TRAINER.estimate("starter/small", FACTS, values, 2)["seconds"] > two["seconds"]
    double = TRAINER.estimate("starter/tiny", FACTS, values | {"epochs": 24}, 2)
    assert double["tokens"] == pytest.approx(2 * two["tokens"], rel=0.01)
    full = values_of("hf/acme/model-0.5B", method="full")
    lora = TRAINER.estimate("hf/acme/model-0.5B", FACTS, full | {"method": "lora"}, 2)
    assert lora["seconds"] < TRAINER.estimate("hf/acme/model-0.5B", FACTS, full, 2)["seconds"]
    assert TRAINER.estimate("hf/acme/model", FACTS, full, 2)["seconds"] is None


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.5e9),
        ("HuggingFaceTB/SmolLM2-135M", 135e6),
        ("meta-llama/Llama-3.1-8B", 8e9),
        ("acme/model", None),
        ("acme/b2b", None),
    ],
)
def test_the_size_is_read_off_a_name(name: str, size: float | None) -> None:
    assert parameters(f"hf/{name}") == size


def test_the_size_is_counted_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]},
        "b": {"dtype": "F32", "shape": [7], "data_offsets": [60, 88]},
    }).encode()  # fmt: skip
    folder = tmp_path / "models" / "model-99B"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(88))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    monkeypatch.setenv("TUNEBOOK_MODEL_DIRS", str(tmp_path / "models"))
    settings.cache_clear()
    try:
        assert parameters("hf/model-99B") == 22
        assert parameters(f"hf/{folder}") == 22
        assert parameters("hf/../other") is None
    finally:
        settings.cache_clear()


@pytest.mark.parametrize("model", ["baseline/majority", "starter/tiny", "hf/acme/model"])
def test_the_same_job_gives_the_same_bytes(model: str) -> None:
    wanted = job(model, values_of(model))
    shuffled = replace(wanted, hyperparameters=dict(reversed(list(wanted.hyperparameters.items()))))
    rendered = TRAINER.render(wanted)
    assert rendered == TRAINER.render(shuffled)
    config = json.loads(rendered.files["config.json"])
    assert list(config) == sorted(config)
    assert config["hyperparameters"] == wanted.hyperparameters
    assert (config["launch_key"], config["labels"], config["seed"]) == ("key-1", ["metal", "none"], 1)


def test_a_bundle_says_what_it_is_and_what_it_needs() -> None:
    classical = TRAINER.render(job("baseline/majority", {}))
    assert classical.code == ("training", "baselines")
    assert "torch" not in classical.files["environment.txt"]
    starter = TRAINER.render(job("starter/tiny", values_of("starter/tiny")))
    assert starter.code == ("training",)
    names = [line.partition("==")[0] for line in starter.files["environment.txt"].splitlines()]
    assert {"torch", "transformers"} <= set(names)
    assert "peft" not in names
    assert all("==" in line and "+" not in line for line in starter.files["environment.txt"].splitlines())
    assert (
        "peft==" in TRAINER.render(job("hf/acme/model", values_of("hf/acme/model"))).files["environment.txt"]
    )
    readme = starter.files["README.md"]
    assert "sh run.sh --check" in readme
    assert "a" * 64 in readme
    assert "| row_loss_weight | 0.3 |" in readme


def _imports(folder: Path) -> set[str]:
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found


def test_the_trainer_imports_no_machine_learning_and_the_process_nothing_of_ours() -> None:
    root = Path(__file__).resolve().parents[2]
    assert not _imports(root / "app" / "trainers") & {
        "torch",
        "transformers",
        "peft",
        "trl",
        "sklearn",
        "numpy",
    }
    assert not _imports(root / "workers" / "training") & {"app", "workers"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "full", "quantization": "4bit"}, "quantization goes with method lora"),
        ({"method": "full", "use_dora": True}, "DoRA goes with method lora"),
        ({"method": "full", "use_rslora": True}, "rsLoRA goes with method lora"),
        ({"quantization": "8bit", "distributed": "fsdp"}, "cannot be spread by fsdp"),
        ({"early_stopping_patience": 2}, "Early stopping needs a validation part"),
        ({"devices": 3}, "3 devices cannot share a step of 16 items"),
        ({"objective": "dpo", "lora_targets": "lm_head"}, "Take lm_head out of the LoRA targets"),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes: dict[str, Any], words: str) -> None:
    values = values_of("hf/acme/model-0.5B", **changes)
    [problem] = TRAINER.problems("hf/acme/model-0.5B", FACTS, values)
    assert words in problem
    assert TRAINER.problems("hf/acme/model-0.5B", FACTS, values_of("hf/acme/model-0.5B")) == []


def test_a_model_that_does_not_fit_is_refused_before_launch() -> None:
    gigabyte, model = 10**9, "hf/meta-llama/Llama-3.1-8B"
    values = values_of(model, precision="bf16")
    [problem] = TRAINER.problems(model, FACTS | {"memory_bytes": 8 * gigabyte}, values)
    assert "Llama-3.1-8B: training takes about" in problem
    assert "8 GB" in problem
    assert "quantization 4bit" in problem
    for fits in (
        (FACTS | {"memory_bytes": 24 * gigabyte}, values),
        (FACTS | {"memory_bytes": 8 * gigabyte}, values | {"quantization": "4bit"}),
        (FACTS | {"memory_bytes": None}, values | {"method": "full"}),
    ):
        assert TRAINER.problems(model, *fits) == []
    [problem] = TRAINER.problems(model, FACTS | {"memory_bytes": 100 * gigabyte}, values | {"method": "full"})
    assert "method lora" in problem


def test_memory_grows_with_what_is_trained_and_kept() -> None:
    """A Llama of 8 B: 16 GB of weights in bf16, 128 GB when all are trained; published QLoRA runs take 6 to 8 GB."""
    shape = shape_of(8_030_000_000, {"hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 128_256})
    values = values_of("hf/acme/model", max_seq_len=2048)
    facts = FACTS | {"max_tokens": 2048, "answer_tokens": 10}

    def gigabytes(**changes: Any) -> float:
        return memory_bytes(shape, facts, values | changes, on_gpu=True) / 1e9

    assert 16 < held_bytes(shape, values, on_gpu=True) / 1e9 < 18
    assert 128 < held_bytes(shape, values | {"method": "full"}, on_gpu=True) / 1e9 < 130
    assert 5 < held_bytes(shape, values | {"quantization": "4bit"}, on_gpu=True) / 1e9 < 7
    assert (
        gigabytes(quantization="4bit")
        < gigabytes(quantization="8bit")
        < gigabytes()
        < gigabytes(method="full")
    )
    assert gigabytes(batch_size=1) < gigabytes()
    assert gigabytes() < gigabytes(gradient_checkpointing="no")
    assert gigabytes(method="full", distributed="fsdp", devices=8) < gigabytes(method="full") / 4
    told = TRAINER.estimate("hf/acme/model-8B", facts, values, 2)
    assert told["memory_bytes"] > 8e9


def test_a_quantized_base_is_named_in_the_environment() -> None:
    files = [
        TRAINER.render(job("hf/acme/model", values_of("hf/acme/model", quantization=bits))).files
        for bits in ("none", "4bit")
    ]
    assert "bitsandbytes" not in files[0]["environment.txt"]
    assert "bitsandbytes==" in files[1]["environment.txt"]


def test_every_hyperparameter_stands_in_the_docs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "built-in-trainer.md").read_text()
    assert [
        field.name for field in TRAINER.hyperparameters("hf/acme/model") if f"`{field.name}" not in page
    ] == []
