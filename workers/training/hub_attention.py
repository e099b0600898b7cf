"""Attention over rows that stand one behind the other, none seeing another, with PyTorch alone. Used by hub_trainer.py.

FlashAttention has a kernel for such rows; here they are put side by side for the attention, rows of like length
together, so that it works on every device.
"""

from functools import lru_cache
from itertools import accumulate
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
    """Transformers' SDPA; where `row_lengths` says that the one row is many, over those apart.

    Shapes are (1, heads, tokens, size); the result is (1, tokens, heads, size).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    lengths = options.pop("row_lengths", None)
    if lengths is None:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    groups, places = _groups(lengths, query.device)
    found = []
    for rows, longest in groups:
        side: list[Any] = [
            part[0].index_select(1, rows).unflatten(1, (-1, longest)).transpose(0, 1)
            for part in (query, key, value)
        ]
        window = options.get("sliding_window") or longest
        near = None if longest <= window else _window(longest, window, query.device)
        given = {**options, "is_causal": near is None}
        answer, _ = sdpa_attention_forward(module, side[0], side[1], side[2], near, **given)
        found.append(answer.flatten(0, 1))
    return torch.cat(found).index_select(0, places).unsqueeze(0), None


@lru_cache(maxsize=8)
def _groups(
    lengths: tuple[int, ...], device: torch.device
) -> tuple[list[tuple[torch.Tensor, int]], torch.Tensor]:
    """([(the token at each place of rows side by side, the longest row)], for each token its place in all of them).

    Rows in one group differ at most twofold in length, so that at most half of it is padding. Made once for all layers.
    """
    starts, tokens = [0, *accumulate(lengths)], sum(lengths)
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    places, groups, before = torch.empty(tokens, dtype=torch.long), [], 0
    while order:
        longest = lengths[order[0]]
        group = [row for row in order if 2 * lengths[row] >= longest]
        order = order[len(group) :]
        for row in group:
            places[starts[row] : starts[row + 1]] = torch.arange(before, before + lengths[row])
            before += longest
        # Behind a row's end stand tokens of the next: no token of the row sees what comes after it.
        rows = torch.tensor([starts[row] for row in group])[:, None] + torch.arange(longest)
        groups.append((rows.clamp(max=tokens - 1).flatten().to(device), longest))
    return groups, places.to(device)


def _window(longest: int, window: int, device: torch.device) -> torch.Tensor:
    place = torch.arange(longest, device=device)
    back = place[:, None] - place[None, :]
    return ((back >= 0) & (back < window))[None, None]


def rows_stay_apart(model: Any, first: list[int], second: list[int], narrow: bool = False) -> bool:
    """Whether the model works out `second` the same alone and behind `first`, and whatever stands before it; in bf16
    where it is `narrow`."""
    training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=narrow):
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

    apart = model.config._attn_implementation == NAME
    given = {name: _there(value, model.device) for name, value in joined(rows, apart).items()}
    return model(**given, use_cache=False).logits[0].float()


def _there(value: Any, device: Any) -> Any:
    return value.to(device) if torch.is_tensor(value) else value
