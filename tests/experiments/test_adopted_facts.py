"""What is read of a training's files: strange values do no harm, and a pickle is never run."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from app.errors import Invalid
from app.experiments.adopted_facts import read_facts
from app.experiments.training_args import read_training_args
from tests.runs.trained import training_args, zipped

STRANGE = [
    None,
    0,
    -1,
    1e308,
    10**400,
    True,
    "",
    "\0x",
    "\ud800",
    [],
    [[]],
    {},
    {"a": 1},
    ["\0", 1],
    float("nan"),
    "x" * 10_000,
]


def strange_files(value: Any) -> list[tuple[str, Any]]:
    """The value in every place of every file."""
    line = {"step": value, "loss": 1.0, "learning_rate": value}
    logged = [[value, 1], [1, value], value]
    return [
        ("adapter_config.json", {"r": value, "base_model_name_or_path": value, "target_modules": [value]}),
        ("trainer_state.json", {"log_history": value, "num_train_epochs": value, "max_steps": 3}),
        ("trainer_state.json", {"log_history": [line, value, {"step": 1, "loss": value}], "max_steps": 3}),
        ("mlflow_run.json", {"params": {"seed": value, "x": value}, "metrics": {"loss": logged}}),
        ("mlflow_run.json", {"params": value, "metrics": value}),
        ("mlflow_run.json", {"params": {"a": 1}, "metrics": {"loss": value}}),
        ("some.yaml", {"a\0": value, "1": value}),
    ]


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_strange_values_are_read_or_refused_in_words(value: Any) -> None:
    for name, content in strange_files(value):
        try:
            facts = read_facts({name: json.dumps(content).encode()})
        except Invalid:
            continue
        assert "\0" not in str(facts.ledger)
        assert all(math.isfinite(number) and 0 <= step < 2**31 for _, step, number in facts.curves)


class Hostile:
    """What a pickle may do when it is loaded."""

    def __reduce__(self) -> Any:
        return os.mkdir, (HARM,)


HARM = ""


def test_arguments_are_read_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "HARM", str(tmp_path / "harm"))
    found = read_training_args(
        training_args(seed=3, bad=Hostile(), names=["a"], none=None, lr=1e-4, flag=False)
    )
    assert found == {"seed": 3, "bad": str(tmp_path / "harm"), "lr": 1e-4, "flag": False}
    assert not (tmp_path / "harm").exists()
    whole = training_args(seed=3)
    for cut in range(0, len(whole), 7):
        assert read_training_args(whole[:cut]) == {}
    for data in (b"N.", b"\x80\x02}q\x00(", b"c__main__\nArguments\n.", b"\x80\x02.", b"(" * 50):
        assert read_training_args(zipped({"x/data.pkl": data})) == {}
