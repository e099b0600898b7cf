"""Batched generation and label scores against the plain computation without padding, cache or sharing."""

import random
from typing import Any

import pytest

from workers.training.generation import Beginning, generate, read_beginning, read_prompts
from workers.training.label_scores import LabelReader, groups, make_tree, score_one_by_one
from workers.training.sharing import batches, can_share, common_beginning, reach

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")
PAD, END = 0, 1
LABELS = [[5, END], [5, 7, END], [9, 3, 3, 8, END], [9, 3, 4, END], [END]]


def _model(**changes: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, pad_token_id=PAD, eos_token_id=END,
        bos_token_id=None, initializer_range=0.4, **changes,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return _model()


def _prompts(lengths: tuple[int, ...], beginning: tuple[int, ...] = ()) -> list[list[int]]:
    chance = random.Random(2)
    return [[*beginning, *(chance.randrange(2, 40) for _ in range(length))] for length in lengths]


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


def _score_alone(model: Any, prompt: list[int], label: list[int]) -> float:
    chances = model(input_ids=torch.tensor([prompt + label])).logits[0].log_softmax(-1)
    return sum(float(chances[len(prompt) - 1 + place, token]) for place, token in enumerate(label))


BEGINNING = tuple(random.Random(7).choices(range(2, 40), k=11))
WAYS = [(), BEGINNING]


def _read(model: Any, beginning: tuple[int, ...]) -> tuple[list[list[int]], Any]:
    prompts = _prompts((3, 17, 9, 30, 1), beginning)
    return prompts, read_prompts(model, prompts, PAD, read_beginning(model, beginning))


@pytest.mark.parametrize("beginning", WAYS)
@torch.inference_mode()
def test_prompts_of_unlike_length_are_answered_as_if_alone(model: Any, beginning: tuple[int, ...]) -> None:
    prompts, prefix = _read(model, beginning)
    together = generate(model, prefix, {END}, 12)
    assert len({tuple(answer.tokens) for answer in together}) > 1
    for prompt, answer in zip(prompts, together, strict=True):
        tokens, logprob = _alone(model, prompt, 12)
        assert answer.tokens == tokens
        assert answer.logprob == pytest.approx(logprob, abs=1e-4)


@torch.inference_mode()
def test_prompts_that_are_answered_leave_the_batch(model: Any) -> None:
    """With several end tokens answers end at different times."""
    prompts = _prompts(tuple(range(1, 25)))
    ends = set(range(1, 9))
    together = generate(model, read_prompts(model, prompts, PAD), ends, 20)
    lengths = {len(answer.tokens) for answer in together}
    assert len(lengths) > 3
    for prompt, answer in zip(prompts, together, strict=True):
        alone = generate(model, read_prompts(model, [prompt], PAD), ends, 20)[0]
        assert answer.tokens == alone.tokens
        assert answer.logprob == pytest.approx(alone.logprob, abs=1e-4)


@pytest.mark.parametrize("at_once", [2**26, 400, 1])
@pytest.mark.parametrize("beginning", WAYS)
@torch.inference_mode()
def test_label_scores_equal_brute_force(
    model: Any, beginning: tuple[int, ...], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.training.label_scores.LOGITS_AT_ONCE", at_once)
    prompts, prefix = _read(model, beginning)
    scores = LabelReader(model, prefix, LABELS, {END}, 8).scores
    plain = score_one_by_one(model, prefix, LABELS)
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(LABELS):
            wanted = _score_alone(model, prompt, label)
            assert float(scores[row, column]) == pytest.approx(wanted, abs=1e-4)
            assert float(plain[row, column]) == pytest.approx(wanted, abs=1e-4)


@torch.inference_mode()
def test_answers_that_are_labels_need_no_generation(model: Any) -> None:
    prompts = _prompts((3, 17, 9, 30, 1, 12, 4, 22))
    made = generate(model, read_prompts(model, prompts, PAD), {END, 2, 3, 4}, 3)
    labels = [[*answer.tokens, END] for answer in made if answer.tokens][:4]
    reader = LabelReader(model, read_prompts(model, prompts, PAD), labels, {END, 2, 3, 4}, 3)
    assert 1 <= len(reader.answers) < len(prompts) + 1
    for row, answer in reader.answers.items():
        assert answer.tokens == made[row].tokens
        assert answer.logprob == pytest.approx(made[row].logprob, abs=1e-4)


@torch.inference_mode()
def test_scoring_labels_leaves_the_prompts_as_they_were(model: Any) -> None:
    _, prefix = _read(model, BEGINNING)
    LabelReader(model, prefix, LABELS, {END}, 8)
    _, fresh = _read(model, BEGINNING)
    assert generate(model, prefix, {END}, 8) == generate(model, fresh, {END}, 8)


def test_labels_share_their_beginnings_in_the_tree() -> None:
    tree = make_tree(LABELS)
    assert tree.tokens == [5, 7, 9, 3, 3, 8, 4]
    assert tree.parents == [-1, 0, -1, 2, 3, 4, 3]
    assert tree.depths == [0, 1, 0, 1, 2, 3, 2]
    assert tree.steps[0] == [(-1, 5), (0, END)]
    assert groups([2, 3, 5, 1], 4) == [range(2), range(2, 4)]
    assert groups([9], 1) == [range(1)]


def test_what_nearly_all_prompts_begin_with_is_shared() -> None:
    prompts = _prompts((3, 8, 5, 9) * 10, BEGINNING)
    assert common_beginning(prompts)[: len(BEGINNING)] == BEGINNING
    assert common_beginning([*prompts, [1, 2]])[: len(BEGINNING)] == BEGINNING
    assert common_beginning(_prompts((3, 8, 5) * 10)) == ()
    assert common_beginning([[7] * 20, [7] * 20]) == (7,) * 19
    assert common_beginning([[7] * 20]) == ()


def test_batches_hold_prompts_of_like_length_and_few_long_ones() -> None:
    prompts = [*_prompts((30, 3, 8, 5), BEGINNING), [9, 9, 9]]
    assert batches(prompts, BEGINNING, 2, 4, 16_384) == [[1, 3], [2, 0], [4]]
    long = [[2] * 6000 for _ in range(4)]
    assert batches(long, (), 64, 100, 16_384) == [[0, 1], [2, 3]]
    assert batches([[2] * 60_000], (), 64, 100, 4096) == [[0]]


@torch.inference_mode()
def test_a_model_that_heeds_no_mask_is_found_out(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = _prompts((3, 17), BEGINNING)
    shared = read_beginning(model, BEGINNING)
    assert can_share(model, prompts, PAD, shared, LABELS, 8)
    forward = model.forward

    def deaf(*, attention_mask: Any, **given: Any) -> Any:
        heard = torch.ones_like(attention_mask) if attention_mask.dim() == 2 else None
        return forward(attention_mask=heard, **given)

    monkeypatch.setattr(model, "forward", deaf)
    assert not can_share(model, prompts, PAD, shared, LABELS, 8)
    monkeypatch.setattr(model, "forward", lambda **_: 1 / None)
    assert not can_share(model, prompts, PAD, shared, LABELS, 8)


def test_models_that_see_only_so_far_share_only_so_far() -> None:
    from transformers import Gemma3TextConfig, LlamaConfig, MistralConfig

    assert reach(LlamaConfig()) == float("inf")
    assert reach(MistralConfig(sliding_window=64)) == 64
    assert reach(Gemma3TextConfig(sliding_window=32)) == 32
    short = _model()
    short.config.sliding_window = 24
    assert not can_share(short, _prompts((3, 17), BEGINNING), PAD, Beginning(), LABELS, 8)
