"""Attention over tokens that all prompts of a batch share, kept once, and over each prompt's own. Used by generation.py.

The shared part is one matrix product for the whole batch, where copies for each prompt would be read row by row
(J. Juravsky et al. (2024), Hydragen: High-Throughput LLM Inference with Shared Prefixes, arXiv:2402.05099; here the two
parts share one softmax). Works with every model that takes its attention from Transformers' registry (4.48 or later).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "shared_beginning"
# Weights of attention that are worked out at once: 256 MB in fp32.
WEIGHTS_AT_ONCE = 2**26
# From so many tokens a prompt on, PyTorch's fused attention over both parts is faster, the copies that it needs included.
FUSED_TOKENS = 16
# Keys and values of each layer, (1, heads, tokens, size).
Layers = list[tuple[torch.Tensor, torch.Tensor]]


def layers_of(cache: Any) -> Layers:
    """The keys and values that a cache holds."""
    if hasattr(cache, "layers"):
        return [(layer.keys, layer.values) for layer in cache.layers]
    return list(zip(cache.key_cache, cache.value_cache, strict=True))


@contextmanager
def behind(model: Any, layers: Layers) -> Iterator[None]:
    """While this lasts, what the model reads stands behind the tokens whose keys and values are `layers`; the cache and
    the mask that it is given are about its own tokens alone."""

    def attention(module: Any, *given: Any, **options: Any) -> tuple[torch.Tensor, None]:
        return _attend(layers[module.layer_idx], *given, **options), None

    _register(attention)
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _register(attention: Any) -> None:
    if not hasattr(ALL_ATTENTION_FUNCTIONS, "register"):
        ALL_ATTENTION_FUNCTIONS[NAME] = attention
        return
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    try:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    except ImportError:
        # Transformers before 4.53 makes such a mask for every name that it does not know.
        return
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)


def _attend(
    shared: tuple[torch.Tensor, torch.Tensor],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> torch.Tensor:
    """(rows, tokens, heads, size) of queries (rows, heads, tokens, size); `mask` (rows, 1, tokens, own keys) is added."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.shape[2] >= FUSED_TOKENS and not softcap:
        return _fused(shared, query, key, value, mask, scale)
    weights = query.shape[1] * query.shape[2] * (shared[0].shape[2] + key.shape[2])
    at_once = max(1, WEIGHTS_AT_ONCE // weights)
    parts = zip(*(whole.split(at_once) for whole in (query, key, value, mask)), strict=True)
    pieces = [_rows(shared, q, k, v, m, scale, softcap) for q, k, v, m in parts]
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0]


def _fused(
    shared: tuple[torch.Tensor, torch.Tensor],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    repeats = query.shape[1] // key.shape[1]
    keys, values = (
        torch.cat([far.expand(len(query), -1, -1, -1), near], dim=2)
        for far, near in zip(shared, (key, value), strict=True)
    )
    if repeats > 1:
        keys, values = (part.repeat_interleave(repeats, dim=1) for part in (keys, values))
    whole = torch.nn.functional.pad(mask[..., : key.shape[2]], (shared[0].shape[2], 0))
    answer = torch.nn.functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=whole, scale=scale
    )
    return answer.transpose(1, 2)


def _rows(
    shared: tuple[torch.Tensor, torch.Tensor],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float | None,
) -> torch.Tensor:
    rows, heads, tokens, size = query.shape
    groups, known = key.shape[1], shared[0].shape[2]
    # Several heads of queries read the same keys: they stand behind one another as if they were tokens.
    own = (query * scale).reshape(rows, groups, -1, size)
    every = own.transpose(0, 1).reshape(groups, -1, size)
    far = (every @ shared[0][0].transpose(1, 2)).view(groups, rows, -1, known).transpose(0, 1)
    near = own @ key.transpose(2, 3)
    scores = torch.cat([far, near], dim=-1).view(rows, heads, tokens, -1)
    if softcap:
        scores = (scores / softcap).tanh() * softcap
    scores[..., known:] += mask[..., : key.shape[2]]
    weights = (
        scores.softmax(-1, dtype=torch.float32).to(query.dtype).view(rows, groups, -1, known + key.shape[2])
    )
    there = weights[..., :known].transpose(0, 1).reshape(groups, -1, known) @ shared[1][0]
    here = weights[..., known:] @ value
    both = there.view(groups, rows, -1, size).transpose(0, 1) + here
    return both.reshape(rows, heads, tokens, size).transpose(1, 2)
