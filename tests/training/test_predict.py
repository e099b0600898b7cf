"""Predicting a part: the same answers in every batch size, after a stop and with little memory; constrained answers."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.bundles import items
from workers.training import sharing
from workers.training.constrained import Constraint, check_decoding, grammar
from workers.training.engine import TransformersEngine
from workers.training.failures import Failure
from workers.training.files import read_lines
from workers.training.job import Job
from workers.training.predict import decoding, note_decoding, predict
from workers.training.reporting import Reporter
from workers.training.starter_tokenizer import make_tokenizer

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")
END = 1
SCHEMA = {
    "type": "object",
    "properties": {"metal": {"enum": ["iron", "gold"]}, "sure": {"type": "boolean"}},
    "required": ["metal", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    rows = ({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1))
    return PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(rows, 400), eos_token="<|end|>")


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    """A model that babbles: its weights are random."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0,
        eos_token_id=END, bos_token_id=None, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def _job(folder: Path, **values: Any) -> Job:
    (folder / "out").mkdir(parents=True)
    rows = [{"item": f"i{n}", "number": n, "line": n + 1, "prompt": [], "expected": ""} for n in range(23)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = ["iron", "gold", "goldfish", "none"]
    return Job(
        folder, {}, "key", "hf", "hf/x", "x", "classification", labels, {"predict_batch_size": 5, **values}, 1, 1, 12
    )  # fmt: skip


def _prompts(shared: int = 20) -> list[list[int]]:
    chance = random.Random(3)
    beginning = [chance.randrange(5, 300) for _ in range(shared)]
    return [
        [*beginning, *(chance.randrange(5, 300) for _ in range(chance.randrange(1, 40)))] for _ in range(23)
    ]


def _engine(model: Any, tokenizer: Any, job: Job, size: int = 5, **more: Any) -> TransformersEngine:
    labels = {label: [*tokenizer(label)["input_ids"], END] for label in job.labels}
    return TransformersEngine(
        model,
        0,
        {END},
        lambda tokens: str(tokenizer.decode(tokens)),
        labels,
        size,
        job.max_new_tokens,
        **more,
    )


def _predicted(folder: Path, engine: Callable[[Job], Any], prompts: list[list[int]]) -> list[dict[str, Any]]:
    job = _job(folder)
    predict(job, Reporter(job.folder), engine(job), "test", prompts)
    rows = read_lines(job.out / "predictions.jsonl")
    assert [row["number"] for row in rows] == list(range(23))
    return rows


def _same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert (one["answer"], one["tokens"]) == (other["answer"], other["tokens"])
        assert one["logprob"] == pytest.approx(other["logprob"], abs=1e-4)
        assert one["p"] == pytest.approx(other["p"], abs=1e-4)
        assert sum(one["p"].values()) == pytest.approx(1)


def test_every_batch_size_gives_the_same_answers(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    plain = _predicted(tmp_path / "1", lambda job: _engine(model, tokenizer, job, 1, plain=True), _prompts())
    assert len({row["answer"] for row in plain}) > 5
    for size in (1, 7, 64):
        rows = _predicted(
            tmp_path / f"s{size}", lambda job, n=size: _engine(model, tokenizer, job, n), _prompts()
        )
        _same(rows, plain)
    apart = _prompts()
    apart[4] = apart[4][5:]
    alone = _predicted(tmp_path / "p", lambda job: _engine(model, tokenizer, job, 1, plain=True), apart)
    _same(_predicted(tmp_path / "a", lambda job: _engine(model, tokenizer, job, 4), apart), alone)


def test_too_little_memory_halves_the_batches(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    asked = []

    class Small(TransformersEngine):
        def ask(self, prompts: list[list[int]]) -> Any:
            asked.append(len(prompts))
            if len(prompts) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().ask(prompts)

    whole = _predicted(tmp_path / "whole", lambda job: _engine(model, tokenizer, job, 16), _prompts())
    small = _predicted(
        tmp_path / "small", lambda job: Small(**vars(_engine(model, tokenizer, job, 16))), _prompts()
    )
    _same(small, whole)
    assert asked[:4] == [16, 8, 4, 2]
    assert max(asked[3:]) <= 2
    assert "16 prompts at once do not fit" in (tmp_path / "small" / "out" / "log.txt").read_text()

    class Full(TransformersEngine):
        def ask(self, prompts: list[list[int]]) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        _predicted(
            tmp_path / "full", lambda job: Full(**vars(_engine(model, tokenizer, job, 16))), _prompts()
        )


def test_a_stopped_run_goes_on_with_what_is_missing(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    whole = _predicted(tmp_path / "whole", lambda job: _engine(model, tokenizer, job), _prompts())
    asked = []

    class Stopped(TransformersEngine):
        def ask(self, prompts: list[list[int]]) -> Any:
            asked.append(len(prompts))
            if len(asked) == 3:
                raise KeyboardInterrupt
            return super().ask(prompts)

    job = _job(tmp_path / "stopped")
    engine = Stopped(**vars(_engine(model, tokenizer, job)))
    with pytest.raises(KeyboardInterrupt):
        predict(job, Reporter(job.folder), engine, "test", _prompts())
    with (job.out / "predictions.jsonl").open("a") as file:
        file.write('{"item": "torn')
    predict(job, Reporter(job.folder), engine, "test", _prompts())
    assert asked == [5, 5, 5, 5, 5, 3]
    rows = read_lines(job.out / "predictions.jsonl")
    _same(rows, whole)
    assert [row["number"] for row in rows] == list(range(23))


def test_a_choice_among_labels_is_the_most_probable_one(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    free = _predicted(tmp_path / "free", lambda job: _engine(model, tokenizer, job), _prompts())
    rows = _predicted(
        tmp_path / "labels", lambda job: _engine(model, tokenizer, job, choose=True), _prompts()
    )
    assert not {row["answer"] for row in free} & {"iron", "gold", "goldfish", "none"}
    assert {row["answer"] for row in rows} <= {"iron", "gold", "goldfish", "none"}
    for row, other in zip(rows, free, strict=True):
        assert row["p"] == pytest.approx(other["p"], abs=1e-9)
        assert row["p"][row["answer"]] == max(row["p"].values())


@pytest.mark.parametrize("size", [1, 8])
def test_a_babbling_model_answers_by_the_schema(
    model: Any, tokenizer: Any, tmp_path: Path, size: int
) -> None:
    pytest.importorskip("llguidance")

    def engine(job: Job) -> Any:
        made = _engine(model, tokenizer, job, size, constraint=Constraint(SCHEMA, tokenizer, {END}))
        made.most = 150
        return made

    rows = _predicted(tmp_path / "run", engine, _prompts())
    for row in rows:
        answer = json.loads(row["answer"])
        assert set(answer) == {"metal", "sure"}
        assert answer["metal"] in ("iron", "gold")
        assert answer["sure"] in (True, False)
        assert row["logprob"] < -1


def test_a_schema_that_cannot_be_followed_is_refused_before_training(tmp_path: Path) -> None:
    pytest.importorskip("llguidance")
    check_decoding(_job(tmp_path / "a"))
    check_decoding(_job(tmp_path / "b", decoding="labels"))
    check_decoding(_job(tmp_path / "c", decoding="json_schema", answer_schema=json.dumps(SCHEMA)))
    with pytest.raises(Failure, match="shall follow a JSON schema, and '' is none"):
        check_decoding(_job(tmp_path / "d", decoding="json_schema"))
    with pytest.raises(Failure, match=r"cannot be followed: Unimplemented keys: \[\"not\"\]"):
        grammar({"not": {"type": "string"}})


def test_the_decoding_says_how_answers_are_made(tmp_path: Path) -> None:
    assert decoding(_job(tmp_path / "a"), 5)["answers"] == "free"
    job = _job(tmp_path / "b", decoding="labels")
    note_decoding(job, 5, "Transformers")
    told = json.loads((job.out / "resolved.json").read_text())["decoding"]
    assert (told["method"], told["answers"]) == ("most probable label", "one of the labels")
    assert told["program"] == "Transformers"


def test_models_that_heed_no_masks_are_asked_plainly(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = _predicted(tmp_path / "shared", lambda job: _engine(model, tokenizer, job), _prompts())
    monkeypatch.setattr(sharing, "reach", lambda config: 0)
    engines = []

    def engine(job: Job) -> Any:
        engines.append(_engine(model, tokenizer, job))
        return engines[0]

    _same(_predicted(tmp_path / "plain", engine, _prompts()), wanted)
    assert engines[0].plain
    assert "asked without sharing" in (tmp_path / "plain" / "out" / "log.txt").read_text()
