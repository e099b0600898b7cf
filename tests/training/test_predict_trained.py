"""Predicting with weights that any trainer left, and by which program."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.bundles import bundle, items, job, values_of
from workers.training.failures import Failure
from workers.training.files import read_lines
from workers.training.hub_predict import predict_peft, predict_whole
from workers.training.job import Job, read_job
from workers.training.label_scores import make_tree
from workers.training.reporting import Reporter
from workers.training.starter_tokenizer import make_tokenizer, save_tokenizer
from workers.training.vllm_engine import VllmEngine, chosen, questions

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")
VALUES = {"max_seq_len": 64, "predict_batch_size": 7}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, adapter/ (random, by PEFT), merged/ and a bundle in run/."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("trained")
    tokenizer = make_tokenizer(({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1)), 400)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0,
        eos_token_id=1, bos_token_id=None, initializer_range=0.15,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder / "base")
    save_tokenizer(tokenizer, folder / "base", 128)
    lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted: Any = get_peft_model(model, lora)
    adapted.save_pretrained(folder / "adapter")
    adapted.merge_and_unload().save_pretrained(folder / "merged")
    bundle(
        folder / "run", job("hf/base", values_of("hf/base", max_seq_len=64), model_path=str(folder / "base"))
    )
    return folder


def _job(folders: Path) -> Job:
    found = read_job(folders / "run")
    for file in found.out.glob("*.json*"):
        file.unlink()
    return found


def test_an_adapter_and_its_merged_model_answer_alike(folders: Path) -> None:
    wanted = _job(folders)
    predict_peft(wanted, Reporter(wanted.folder), str(folders / "base"), folders / "adapter", VALUES)
    adapted = read_lines(wanted.out / "predictions.jsonl")
    told = json.loads((wanted.out / "resolved.json").read_text())["decoding"]
    assert (told["program"], told["answers"], told["batch_size"]) == ("Transformers", "free", 7)
    wanted = _job(folders)
    predict_whole(wanted, Reporter(wanted.folder), str(folders / "base"), folders / "merged", VALUES)
    merged = read_lines(wanted.out / "predictions.jsonl")
    assert len(adapted) == len(merged) == 20
    assert sum(one["answer"] == other["answer"] for one, other in zip(adapted, merged, strict=True)) >= 19
    for one, other in zip(adapted, merged, strict=True):
        assert one["p"] == pytest.approx(other["p"], abs=1e-4)


def test_a_choice_among_labels_is_passed_on(folders: Path) -> None:
    wanted = _job(folders)
    values = {**VALUES, "decoding": "labels"}
    predict_peft(wanted, Reporter(wanted.folder), str(folders / "base"), folders / "adapter", values)
    rows = read_lines(wanted.out / "predictions.jsonl")
    assert {row["answer"] for row in rows} <= {"metal", "none"}
    told = json.loads((wanted.out / "resolved.json").read_text())["decoding"]
    assert told["method"] == "most probable label"


def test_folders_without_weights_are_refused(folders: Path, tmp_path: Path) -> None:
    wanted = _job(folders)
    for predict, said in ((predict_peft, "There is no adapter"), (predict_whole, "There is no model")):
        with pytest.raises(Failure, match=said):
            predict(wanted, Reporter(wanted.folder), str(folders / "base"), tmp_path, VALUES)


def test_vllm_is_taken_only_where_it_can_be(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, saved = _job(folders), folders / "adapter"
    assert not chosen(wanted, {"predictor": "auto"}, saved)
    assert not chosen(wanted, {"predictor": "transformers"}, saved)
    if not torch.cuda.is_available():
        with pytest.raises(Failure, match="predicted with vLLM, and there is no NVIDIA GPU"):
            chosen(wanted, {"predictor": "vllm"}, saved)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("workers.training.vllm_engine.find_spec", lambda name: name)
    monkeypatch.setattr("workers.training.vllm_engine._names_tokens", lambda: True)
    assert chosen(wanted, {"predictor": "auto"}, saved)
    assert not chosen(wanted, {"predictor": "auto", "quantization": "4bit"}, saved)


def test_vllm_is_asked_once_for_each_beginning_of_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in that answers token for token; vLLM itself runs on a GPU alone."""
    labels = {"a": [5, 1], "b": [5, 7, 1], "c": [9, 1]}
    tree = make_tree(list(labels.values()))
    assert questions([step for steps in tree.steps for step in steps]) == [
        (-1, [5, 9]),
        (0, [1, 7]),
        (1, [1]),
        (2, [1]),
    ]
    assert [len(tokens) for _, tokens in questions([(0, token) for token in range(300)])] == [128, 128, 44]
    asked = []

    class Stand:
        def generate(self, prompts: Any, sampling: Any, **_: Any) -> Any:
            asked.extend(prompt["prompt_token_ids"] for prompt in prompts)
            return [
                SimpleNamespace(
                    outputs=[
                        SimpleNamespace(
                            logprobs=[
                                {token: SimpleNamespace(logprob=-0.1 * token - len(prompt["prompt_token_ids"]))
                                 for token in wanted["logprob_token_ids"]}
                            ]
                        )
                    ]
                )
                for prompt, wanted in zip(prompts, sampling, strict=True)
            ]  # fmt: skip

    engine = VllmEngine(Stand(), None, {1}, str, labels, 8, choose=True)
    monkeypatch.setattr(engine, "_sampling", lambda **given: given)
    replies = engine.ask([[30, 31], [32]])
    assert asked[:4] == [[30, 31], [30, 31, 5], [30, 31, 5, 7], [30, 31, 9]]
    assert replies[0].text == "a"
    assert replies[0].logprob == pytest.approx(-0.5 - 2 - 0.1 - 3)
    assert replies[1].logprob == pytest.approx(-0.5 - 1 - 0.1 - 2)
    assert sum((replies[0].p or {}).values()) == pytest.approx(1)
