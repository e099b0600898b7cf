"""Rows one behind the other do not see each other: the loss of each is what it is alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.base_model import make_base

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "small-llama")


def _rows() -> list[tuple[list[int], list[bool]]]:
    """Rows of many lengths with one to three answer tokens at their ends."""
    import random

    chance = random.Random(2)
    lengths = [2, 3, 7, 12, 12, 31, 40, 5]
    return [
        (
            chance.choices(range(5, 300), k=length),
            [place >= length - 1 - length % 3 for place in range(length)],
        )
        for length in lengths
    ]


def _loss(model: Any, given: dict[str, Any]) -> float:
    from workers.training.hub_trainer import Answers, loss_sum

    places, labels = given.pop("places"), given.pop("labels")
    given.pop("shift_labels")
    with Answers(model).at(places):
        logits = model(**given, use_cache=False).logits
    assert logits.shape[:2] == (1, len(places))
    return float(loss_sum(logits[0], labels))


def _model(base: Path, attention: str, **config: Any) -> Any:
    from transformers import AutoModelForCausalLM

    from workers.training.hub_attention import register

    name = register() if attention == "sdpa_rows" else attention
    return AutoModelForCausalLM.from_pretrained(base, attn_implementation=name, **config).eval()


@pytest.mark.parametrize("attention", ["sdpa_rows", "sdpa", "eager"])
def test_the_loss_of_a_packed_batch_is_that_of_its_rows_alone(base: Path, attention: str) -> None:
    import torch

    from workers.training.hub_batch import behind, examples, padded

    model, rows = _model(base, attention), examples(_rows())
    with torch.no_grad():
        alone = [_loss(model, padded([row], 0)) for row in rows]
        named = attention == "sdpa_rows"
        assert _loss(model, behind(rows, named)) == pytest.approx(sum(alone), abs=1e-4)
        assert _loss(model, padded(rows, 0)) == pytest.approx(sum(alone), abs=1e-4)
        for row, expected in zip(rows, alone, strict=True):
            others = [other for other in rows if other is not row]
            rest = _loss(model, behind(others, named))
            assert _loss(model, behind([row, *others], named)) - rest == pytest.approx(expected, abs=1e-4)
        whole = [torch.where(trained, ids, -100).unsqueeze(0) for ids, trained in rows]
        theirs = [
            float(model(input_ids=ids.unsqueeze(0), labels=labels).loss) * int((labels[0, 1:] != -100).sum())
            for (ids, _), labels in zip(rows, whole, strict=True)
        ]
    assert alone == pytest.approx(theirs, abs=1e-4)


def test_the_gradients_of_a_packed_batch_are_those_of_its_rows(base: Path) -> None:
    import torch

    from workers.training.hub_batch import behind, examples, padded
    from workers.training.hub_trainer import Answers, loss_sum

    model, rows = _model(base, "sdpa_rows"), examples(_rows())
    answers, found = Answers(model), []
    for given in (behind(rows, named=True), padded(rows, 0)):
        places, labels = given.pop("places"), given.pop("labels")
        given.pop("shift_labels")
        model.zero_grad()
        with answers.at(places):
            loss_sum(model(**given, use_cache=False).logits[0], labels).backward()
        found.append([part.grad.clone() for part in model.parameters()])
    for packed, alone in zip(*found, strict=True):
        torch.testing.assert_close(packed, alone, atol=1e-3, rtol=1e-3)


def test_a_window_of_attention_is_kept(tmp_path: Path) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from workers.training.hub_attention import register
    from workers.training.hub_batch import behind, examples, padded

    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8, initializer_range=0.3,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path)
    plain, ours = (_model(tmp_path, name) for name in ("eager", register()))
    rows = examples(_rows())
    with torch.no_grad():
        alone = sum(_loss(plain, padded([row], 0)) for row in rows)
        assert _loss(ours, behind(rows, named=True)) == pytest.approx(alone, abs=1e-4)


def test_a_large_batch_of_logits_gives_the_same_loss_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from workers.training import hub_trainer

    logits = torch.randn(50, 30, requires_grad=True)
    labels = torch.randint(0, 30, (50,))
    whole = hub_trainer.loss_sum(logits, labels)
    [expected] = torch.autograd.grad(whole, logits)
    monkeypatch.setattr(hub_trainer, "MOST_LOGITS", 7 * 30)
    pieces = hub_trainer.loss_sum(logits, labels)
    [found] = torch.autograd.grad(pieces, logits)
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(found, expected)


def test_a_model_that_mixes_rows_is_found_out(base: Path) -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    from workers.training.hub_attention import rows_stay_apart

    first, second = (ids for ids, _ in (_rows()[6], _rows()[5]))
    assert rows_stay_apart(_model(base, "sdpa_rows"), first, second)
    torch.manual_seed(1)
    mixes = MambaForCausalLM(MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=8))
    assert not rows_stay_apart(mixes, first, second)
