"""AutoTrain and Ludwig without themselves: model folders in the old form, rows as text, what they would lose or cut."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.trainers.toolkits import stated_job, toolkit_folder, toolkits
from tests.training.base_model import make_base
from workers.training.failures import Failure
from workers.training.files import read_json, write_json
from workers.training.job import Job, read_job
from workers.training.toolkits import autotrain, ludwig
from workers.training.toolkits._old_format import old_config, old_format, old_tokenizer
from workers.training.toolkits._resolved import read_yaml
from workers.training.toolkits._run import data, work


def test_a_configuration_of_transformers_5_becomes_one_of_4():
    rope = {"rope_type": "llama3", "factor": 8.0, "rope_theta": 500000.0}
    new = {"dtype": "bfloat16", "text_config": {"dtype": "float32", "rope_parameters": rope}}
    assert old_config(new) == {
        "torch_dtype": "bfloat16",
        "text_config": {
            "torch_dtype": "float32",
            "rope_theta": 500000.0,
            "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
        },
    }
    assert old_config({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}) == {"rope_theta": 1e4}
    published = {"torch_dtype": "float16", "rope_theta": 1e6, "rope_scaling": None}
    assert old_config(published) == published
    with pytest.raises(Failure, match="each kind of layer"):
        old_config({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}})


def test_a_tokenizer_of_transformers_5_becomes_one_of_4():
    new = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "extra_special_tokens": ["<a>"]}
    old = old_tokenizer(new | {"model_max_length": 1e30}, "{{ messages }}")
    assert old["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert old["additional_special_tokens"] == ["<a>"]
    assert old["chat_template"] == "{{ messages }}"
    assert old["model_max_length"] < 1e7
    assert "backend" not in old
    assert old_tokenizer({"tokenizer_class": "GemmaTokenizer"}, None)["tokenizer_class"] == "GemmaTokenizer"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, whose tokenizer is as Transformers 5 would write it."""
    folder = make_base(tmp_path_factory.mktemp("old") / "small-llama")
    config = read_json(folder / "tokenizer_config.json")
    (folder / "chat_template.jinja").write_text(config.pop("chat_template"), encoding="utf-8")
    write_json(folder / "tokenizer_config.json", config | {"tokenizer_class": "TokenizersBackend"})
    return folder


@pytest.fixture
def job_of(base: Path, tmp_path: Path) -> Callable[..., Job]:
    """Makes the job of a toolkit's written bundle, its folders for data and work made."""

    def make(name: str, **values: Any) -> Job:
        job = read_job(toolkit_folder(tmp_path / name, stated_job(toolkits()[name], str(base), **values)))
        data(job).mkdir()
        work(job).mkdir(parents=True)
        return job

    return make


@pytest.mark.train
def test_the_old_form_links_weights_and_reads_the_same(job_of: Any, base: Path):
    from transformers import AutoTokenizer

    job = job_of("autotrain")
    folder = old_format(job, str(base))
    assert (folder / "model.safetensors").resolve() == (base / "model.safetensors").resolve()
    assert {"torch_dtype", "rope_theta"} <= set(read_json(folder / "config.json"))
    chat = job.train[0]["messages"]
    new, old = (AutoTokenizer.from_pretrained(place) for place in (base, folder))
    assert new.apply_chat_template(chat, tokenize=False) == old.apply_chat_template(chat, tokenize=False)
    assert old_format(job, str(base)) == folder, "a second time changes nothing"


@pytest.mark.train
def test_autotrain_is_given_text_without_the_end_that_it_adds(job_of: Any, base: Path):
    from transformers import AutoTokenizer

    job = job_of("autotrain")
    autotrain.prepare(job, str(base))
    rows = [yaml.safe_load(line)["text"] for line in (data(job) / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    tokenizer = AutoTokenizer.from_pretrained(data(job) / "base")
    assert not any(tokenizer.eos_token in text for text in rows)
    assert rows[0].endswith(job.train[0]["messages"][-1]["content"])
    given = read_yaml(work(job) / "autotrain.yaml")
    assert (work(job) / given["base_model"]).resolve() == data(job) / "base"
    assert (work(job) / given["data.path"]).resolve() == data(job)


@pytest.mark.train
def test_ludwig_is_given_prompts_answers_and_its_tokens(job_of: Any, base: Path):
    from transformers import AutoTokenizer

    job = job_of("ludwig")
    ludwig.prepare(job, str(base))
    with (data(job) / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["0"] * 60 + ["1"] * 8
    assert {row["response"] for row in rows} == {"metal", "none"}
    given = read_yaml(data(job) / "ludwig.yaml")
    assert set(given["adapter.target_modules"]) == {
        f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")
    }
    tokenizer = AutoTokenizer.from_pretrained(data(job) / "model")
    assert tokenizer.pad_token_id == tokenizer.bos_token_id == 0
    written = "".join((rows[0]["prompt"], rows[0]["response"], tokenizer.eos_token))
    plain = AutoTokenizer.from_pretrained(base)
    assert tokenizer(written)["input_ids"] == plain.apply_chat_template(job.train[0]["messages"])["input_ids"]


@pytest.mark.train
def test_ludwig_refuses_what_it_would_cut_or_lacks(job_of: Any, base: Path):
    job = job_of("ludwig")
    with pytest.raises(Failure, match="longer than the 8 tokens"):
        ludwig.prepare(replace(job, values=job.values | {"max_seq_len": 8}), str(base))
    (job.folder / "validation.jsonl").write_text("")
    with pytest.raises(Failure, match="no validation items"):
        ludwig.prepare(replace(job, values=job.values | {"keep_best": True}), str(base))


class Letters:
    """A tokenizer whose tokens are the letters."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) - ord("a") for letter in text]}

    def __len__(self) -> int:
        return 26

    def convert_ids_to_tokens(self, token: int) -> str:
        return chr(token + ord("a"))


def test_rows_with_the_token_that_ludwig_fills_up_with_need_batches_of_one(job_of: Any):
    job = job_of("ludwig")
    rows = [(0, {}, "ab", "c")]
    with pytest.raises(Failure, match=r"token 0, 'a'"):
        ludwig._unused_token(job, Letters(), rows)
    alone = replace(job, values=job.values | {"batch_size": 1})
    assert ludwig._unused_token(alone, Letters(), rows) == "d"
    assert ludwig._unused_token(job, Letters(), [(0, {}, "b", "c")]) == "a"


def test_a_batch_of_one_row_is_filled_since_ludwig_leaves_it_out():
    rows = [{"n": number} for number in range(9)]
    assert ludwig.filled(rows, 4, seed=1)[:9] == rows
    assert len(ludwig.filled(rows, 4, seed=1)) == 10
    assert ludwig.filled(rows[:8], 4, seed=1) == rows[:8]
    assert ludwig.filled(rows, 1, seed=1) == rows


def test_lines_of_both_are_steps_told_once():
    line = "INFO | autotrain.trainers.common:on_log:367 - {'loss': 6.5, 'learning_rate': 0.1, 'epoch': 0.33}"
    step = autotrain.read(line)
    assert step is not None
    assert (step.loss, step.epoch) == (6.5, 0.33)
    assert autotrain.read("{'loss': 6.5, 'learning_rate': 0.1, 'epoch': 0.33}") is None
    step = ludwig.read('{"step": 3, "fraction": 0.5, "loss": 1.25, "learning_rate": 0.1}')
    assert step is not None
    assert (step.step, step.fraction, step.loss) == (3, 0.5, 1.25)
    step = ludwig.read('{"step": 3, "fraction": 0.5, "validation_loss": 2.5}')
    assert step is not None
    assert (step.loss, step.validation_loss) == (None, 2.5)


def test_cosine_of_ludwig_lasts_as_long_as_the_run():
    kind = toolkits()["ludwig"]
    config = yaml.safe_load(kind.config(stated_job(kind, epochs=3, warmup_ratio=0.2))["ludwig.yaml"])
    # 60 rows in batches of 4, 3 times: 45 batches, of which 9 warm up.
    assert config["trainer"]["learning_rate_scheduler"]["t_0"] == 36
    problems = kind.problems(stated_job(kind, use_dora=True, quantization="4bit").hyperparameters)
    assert len(problems) == 1
    assert "DoRA" in problems[0]
