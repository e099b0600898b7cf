"""Adapters side by side on one base, the base alone and a whole model: each answers as its own predictions were made."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.inference.server import Server, model, rows, running
from tests.training.base_model import make_base
from tests.training.bundles import bundle, job, values_of

pytestmark = [pytest.mark.train, pytest.mark.laptop, pytest.mark.slow]
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/ and the bundles run-1 and run-2 (adapters, random), run-3 (run-1's adapter merged)."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters")
    make_base(folder / "base")
    for number in (1, 2):
        torch.manual_seed(number)
        base: Any = AutoModelForCausalLM.from_pretrained(folder / "base")
        lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
        adapted: Any = get_peft_model(base, lora)
        adapted.save_pretrained(folder / f"adapter-{number}")
        if number == 1:
            adapted.merge_and_unload().save_pretrained(folder / "merged")
    for number, method, saved in ((1, "lora", "adapter-1"), (2, "lora", "adapter-2"), (3, "full", "merged")):
        run = folder / f"run-{number}"
        values = values_of("hf/base", max_seq_len=128, method=method)
        bundle(run, job("hf/base", values, model_path=str(folder / "base"), max_new_tokens=12))
        shutil.copytree(folder / saved, run / "out" / ("adapter" if method == "lora" else "model"))
        _predict(run)
    return folder


def _predict(run: Path) -> None:
    """What the run's own process does once its weights are there."""
    from workers.training.hub import encoder_of
    from workers.training.hub_predict import predict_parts
    from workers.training.hub_settings import settle, this_machine
    from workers.training.hub_sft import weights_dtype
    from workers.training.job import read_job
    from workers.training.reporting import Reporter

    wanted = read_job(run)
    values = settle(wanted.values, this_machine())
    saved = wanted.out / ("adapter" if values["method"] == "lora" else "model")
    wanted = replace(wanted, values=values)
    predict_parts(wanted, Reporter(run), values, encoder_of(wanted, values), saved, weights_dtype(values))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("socket")) as server:
        yield server


def test_each_answers_as_its_run_did_while_all_are_asked(server: Server, runs: Path) -> None:
    asked = [
        (row, {"model": model(runs / f"run-{number}", "hub"), "messages": row["prompt"]})
        for number in (1, 2, 3)
        for row in rows(runs / f"run-{number}")
    ]
    answers = server.together([body for _, body in asked])
    for answer, (row, body) in zip(answers, asked, strict=True):
        assert answer.status == 200, answer
        assert answer.text == row["prediction"]["answer"], body["model"]["id"]
        assert answer.last["p"] == pytest.approx(row["prediction"]["p"], abs=1e-4)
    told = {each["id"]: each["bytes"] for each in server.health()["models"]}
    # The second adapter found its base in memory, the whole model could not.
    assert min(told["run-1"], told["run-2"]) < told["run-3"] / 2


def test_the_base_alone_is_itself_beside_its_adapters(server: Server, runs: Path) -> None:
    chat = [{"role": "user", "content": "river Gold lamp"}]
    base = {"id": "base", "kind": "hub", "base": str(runs / "base")}
    alone = server.chat(model=base, messages=chat, max_tokens=12)
    bodies = [{"model": model(runs / f"run-{n}", "hub"), "messages": chat} for n in (1, 2)] * 4
    server.together([*bodies, {"model": base, "messages": chat, "max_tokens": 12}])
    again = server.chat(model=base, messages=chat, max_tokens=12)
    assert alone.status == 200
    assert alone.text == again.text
    adapted = server.chat(model=model(runs / "run-1", "hub"), messages=chat, labels=["x"])
    assert adapted.text != alone.text


def test_models_leave_in_the_order_of_their_use(runs: Path, tmp_path: Path) -> None:
    one = sum(file.stat().st_size for file in (runs / "merged").glob("*.safetensors"))
    copies = []
    for number in range(3):
        copies.append(shutil.copytree(runs / "run-3", tmp_path / f"whole-{number}"))
    chat = [{"role": "user", "content": "river"}]
    with running(tmp_path, INFERENCE_BYTES=str(int(one * 2.5))) as server:
        for number in (0, 1, 0, 2):
            assert server.chat(model=model(copies[number], "hub"), messages=chat).status == 200
        assert {each["id"] for each in server.health()["models"]} == {"whole-0", "whole-2"}
        crowd = [{"model": model(copies[n % 3], "hub"), "messages": chat} for n in range(24)]
        assert {answer.status for answer in server.together(crowd)} == {200}
    with running(tmp_path, INFERENCE_BYTES=str(one // 2)) as server:
        refused = server.chat(model=model(copies[0], "hub"), messages=chat)
        assert (refused.status, refused.error["kind"], refused.error["retryable"]) == (
            503,
            "out_of_memory",
            False,
        )


def test_a_template_that_loops_or_refuses_harms_nobody(server: Server, runs: Path, tmp_path: Path) -> None:
    base = shutil.copytree(runs / "base", tmp_path / "looping")
    config = json.loads((base / "tokenizer_config.json").read_text())
    loop = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    word = "{{ messages[0].content }}"
    config["chat_template"] = (
        f"{{% if 'loop' in messages[0].content %}}{loop}{{% endif %}}"
        f"{{% if 'refuse' in messages[0].content %}}{{{{ raise_exception('not so') }}}}{{% endif %}}{word}"
    )
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    model = {"id": "looping", "kind": "hub", "base": str(base)}
    for said, status in (("hello", 200), ("loop", 400), ("refuse", 400), ("hello", 200)):
        answer = server.chat(model=model, messages=[{"role": "user", "content": said}], max_tokens=2)
        assert answer.status == status, answer
