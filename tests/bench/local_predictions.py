"""Test predictions a second of a local model: ours, files included, against one item at a time with the same model.

`python -m tests.bench local_predictions`. Short answers against `generate` item by item, with a shared instruction and
with nothing shared; class probabilities against one forward pass for each item and label. The model is made here: a
Llama with random weights (PREDICTION_MODEL: 0.9M or 13M parameters). What counts is the processor time of one thread, the least of many turns on each side, which other work on the machine changes
little. Both sides get their prompts as tokens; the answers must be the same and the probabilities within 1e-4.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import Figure, at_least

ITEMS, ALONE, ANSWER, ROUNDS = 256, 4, 8, 15
SHARED, OWN, VOCABULARY, END = 160, (20, 60), 1024, 1
# Hidden size, feed-forward size, layers, heads: the starter, and one whose arithmetic outweighs everything else.
SIZES = {"0.9M": (128, 336, 4, 4), "13M": (384, 1024, 8, 6)}
SIZE = os.environ.get("PREDICTION_MODEL", "0.9M")
LABELS = {f"label-{number}": [40 + number, 70 + number % 3, END] for number in range(6)}
TIMES_GENERATE, TIMES_SCORING = 5, 8


def figures() -> Iterator[Figure]:
    """How many times as many predictions a second as one by one."""
    import torch

    torch.set_num_threads(1)
    model = _model()
    with torch.inference_mode():
        for name, prompts, labels, target in (
            ("local_predictions_answers", _prompts(SHARED), {}, TIMES_GENERATE),
            ("local_predictions_answers_nothing_shared", _prompts(0), {}, TIMES_GENERATE),
            ("local_predictions_labels", _prompts(SHARED), LABELS, TIMES_SCORING),
        ):
            alone, ours = _race(model, prompts, labels)
            print(f"# {name}: {ours:,.1f} items a second, one by one {alone:,.1f}")
            yield at_least(name, ours / alone, "times", target)


def _race(model: Any, prompts: list[list[int]], labels: dict[str, list[int]]) -> tuple[float, float]:
    """Items a second (one by one, ours): the best of ROUNDS, in which both take turns."""
    naive = _scores_alone if labels else _answers_alone
    best = [0.0, 0.0]
    for _ in range(ROUNDS):
        started = time.process_time()
        wanted = naive(model, prompts[:ALONE])
        between = time.process_time()
        rows = _together(model, prompts, labels)
        ended = time.process_time()
        _compare(rows, wanted)
        rates = ALONE / (between - started), ITEMS / (ended - between)
        best = [max(pair) for pair in zip(best, rates, strict=True)]
    return best[0], best[1]


def _model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    hidden, forward, layers, heads = SIZES[SIZE]
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=forward, num_hidden_layers=layers,
        num_attention_heads=heads, max_position_embeddings=512, pad_token_id=0, bos_token_id=None,
        eos_token_id=END, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def _prompts(shared: int) -> list[list[int]]:
    chance = random.Random(3)
    beginning = [chance.randrange(100, VOCABULARY) for _ in range(shared)]
    return [
        [*beginning, *(chance.randrange(100, VOCABULARY) for _ in range(chance.randint(*OWN)))]
        for _ in range(ITEMS)
    ]


def _together(model: Any, prompts: list[list[int]], labels: dict[str, list[int]]) -> list[dict[str, Any]]:
    from workers.training.engine import TransformersEngine
    from workers.training.files import read_lines
    from workers.training.job import Job
    from workers.training.predict import predict
    from workers.training.reporting import Reporter

    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        rows = [
            {"item": str(n), "number": n, "line": n + 1, "prompt": [], "expected": ""}
            for n in range(len(prompts))
        ]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        job = Job(folder, {}, "bench", "hf", "hf/bench", "", "classification", [*labels], {}, 1, 1, ANSWER)
        engine = TransformersEngine(model, 0, {END}, str, labels, 64, ANSWER, choose=bool(labels))
        predict(job, Reporter(folder), engine, "test", prompts)
        return read_lines(folder / "out" / "predictions.jsonl")


def _answers_alone(model: Any, prompts: list[list[int]]) -> list[str]:
    import torch

    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        made = model.generate(ids, attention_mask=mask, max_new_tokens=ANSWER, do_sample=False)
        answers.append(str([token for token in made[0, len(prompt) :].tolist() if token != END]))
    return answers


def _scores_alone(model: Any, prompts: list[list[int]]) -> list[list[float]]:
    """The probability of each label after each prompt, each worked out from the beginning."""
    import torch

    found = []
    for prompt in prompts:
        scores = []
        for label in LABELS.values():
            logits = model(input_ids=torch.tensor([[*prompt, *label[:-1]]])).logits[0, len(prompt) - 1 :]
            scores.append(logits.log_softmax(-1).gather(-1, torch.tensor([label]).T).double().sum())
        found.append(torch.stack(scores).softmax(-1).tolist())
    return found


def _compare(rows: list[dict[str, Any]], wanted: list[Any]) -> None:
    """Ends the benchmark where the two sides do not say the same."""
    for row, right in zip(rows, wanted, strict=False):
        if isinstance(right, str):
            assert row["answer"] == right, (row, right)
        else:
            assert all(abs(p - q) < 1e-4 for p, q in zip(row["p"].values(), right, strict=True)), (row, right)
