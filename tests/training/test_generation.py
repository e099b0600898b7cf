"""Batched generation and label scores against the plain computation without padding or cache."""

import random
from typing import Any

import pytest

from workers.training.generation import generate, read_prompts, score_continuations

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")
PAD, END = 0, 1


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, pad_token_id=PAD, eos_token_id=END,
        bos_token_id=None, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    chance = random.Random(2)
    return [[chance.randrange(2, 40) for _ in range(length)] for length in (3, 17, 9, 30, 1)]


def _alone(model: Any, prompt: list[int], most: int) -> tuple[list[int], float]:
    ids, written, total = list(prompt), [], 0.0
    for _ in range(most):
        chances = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        token = int(chances.argmax())
        total += float(chances[token])
        if token == END:
            break
        written.append(token)
        ids.append(token)
    return written, total


@torch.inference_mode()
def test_prompts_of_unlike_length_are_answered_as_if_alone(model: Any, prompts: list[list[int]]) -> None:
    together = generate(model, read_prompts(model, prompts, PAD), {END}, 12)
    assert len({tuple(answer.tokens) for answer in together}) > 1
    for prompt, answer in zip(prompts, together, strict=True):
        tokens, logprob = _alone(model, prompt, 12)
        assert answer.tokens == tokens
        assert answer.logprob == pytest.approx(logprob, abs=1e-4)


@torch.inference_mode()
def test_label_scores_equal_brute_force(model: Any, prompts: list[list[int]]) -> None:
    labels = [[5, END], [5, 7, END], [9, 3, 3, 8, END], [END]]
    prefix = read_prompts(model, prompts, PAD)
    scores = score_continuations(model, prefix, labels)
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(labels):
            chances = model(input_ids=torch.tensor([prompt + label])).logits[0].log_softmax(-1)
            wanted = sum(float(chances[len(prompt) - 1 + place, token]) for place, token in enumerate(label))
            assert float(scores[row, column]) == pytest.approx(wanted, abs=1e-4)


@torch.inference_mode()
def test_scoring_labels_leaves_the_prompts_as_they_were(model: Any, prompts: list[list[int]]) -> None:
    prefix = read_prompts(model, prompts, PAD)
    score_continuations(model, prefix, [[5, 7, END], [9, 3, 3, 8, END]])
    fresh = generate(model, read_prompts(model, prompts, PAD), {END}, 8)
    assert generate(model, prefix, {END}, 8) == fresh
