"""Attention over rows that stand one behind the other, none seeing another, with PyTorch alone. Used by hub_trainer.py.

FlashAttention has a kernel for such rows; here they are put side by side for the attention, where the padding of short
rows costs little, so that it works on every device.
"""

from typing import Any

import torch

NAME = "sdpa_rows"
# How far the hidden states of a row may move when it is worked out in another place, as part of their size: sums are
# rounded in another order. What another row leaks is far more.
LEAK = 0.05


def register() -> str:
    """Makes it known to Transformers; returns the name for attn_implementation."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    return NAME


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Transformers' SDPA; where `cu_seq_lens_q` says that the one row is many, over those apart.

    Shapes are (1, heads, tokens, size); the result is (1, tokens, heads, size).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    ends = options.pop("cu_seq_lens_q", None)
    longest = options.pop("max_length_q", None)
    if ends is None:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    rows, places = _apart(ends, longest, query.shape[2])
    window = options.get("sliding_window") or longest
    side: list[Any] = [
        part[0].index_select(1, rows).unflatten(1, (-1, longest)).transpose(0, 1)
        for part in (query, key, value)
    ]
    near = None if longest <= window else _window(longest, window, query.device)
    options["is_causal"] = near is None
    answer, _ = sdpa_attention_forward(module, side[0], side[1], side[2], near, **options)
    return answer.flatten(0, 1).index_select(0, places).unsqueeze(0), None


def _apart(ends: torch.Tensor, longest: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(for each place side by side the token that stands there, for each token its place side by side); nothing here
    makes a GPU wait."""
    starts = ends[:-1].long()
    # Behind a row's end stand tokens of the next: no token of the row sees what comes after it.
    rows = (starts[:, None] + torch.arange(longest, device=ends.device)).clamp(max=tokens - 1).flatten()
    token = torch.arange(tokens, device=ends.device)
    row = torch.searchsorted(ends[1:].long(), token, right=True)
    return rows, row * longest + token - starts[row]


def _window(longest: int, window: int, device: torch.device) -> torch.Tensor:
    place = torch.arange(longest, device=device)
    back = place[:, None] - place[None, :]
    return ((back >= 0) & (back < window))[None, None]


def rows_stay_apart(model: Any, first: list[int], second: list[int]) -> bool:
    """Whether the model works out `second` the same alone and behind `first`, and whatever stands before it."""
    training = model.training
    model.eval()
    with torch.no_grad():
        alone = _logits(model, [second])
        behind = _logits(model, [first, second])[len(first) :]
        other = _logits(model, [first[::-1], second])[len(first) :]
    model.train(training)
    size = alone.std()
    return bool(
        (behind - alone).abs().mean() < LEAK * size and (behind - other).abs().mean() < LEAK * size / 10
    )


def _logits(model: Any, rows: list[list[int]]) -> torch.Tensor:
    from .hub_batch import joined

    given = {name: _there(value, model.device) for name, value in joined(rows).items()}
    return model(**given, use_cache=False).logits[0].float()


def _there(value: Any, device: Any) -> Any:
    return value.to(device) if torch.is_tensor(value) else value
