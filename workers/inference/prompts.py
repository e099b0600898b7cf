"""Reads prompts into a batch: what they share once, those that join a running batch beside it. Used by lane.py.

Rows stand right-aligned behind padding, as in workers/training/generation.py; a shared beginning is copied in front of
each row's own padding, which the mask leaves out.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from workers.training.generation import (
    Beginning,
    Prefix,
    last_logits_only,
    positions,
    read_beginning,
    read_prompts,
)
from workers.training.roomy_cache import RoomyLayer, give_room
from workers.training.sharing import room, starts_with

# Beginnings that are kept for each model, as far as a batch's tokens suffice, and prompts to which a new one is compared.
KEPT, RECENT = 8, 32
# Fewer tokens than this are not worth a batch of their own.
FEWEST = 32


class Beginnings:
    """The beginnings that prompts of one model had in common lately, with their keys and values."""

    def __init__(self) -> None:
        self._kept: list[Beginning] = []
        self._recent: list[list[int]] = []
        self.read_tokens = 0

    def of(self, model: Any, prompt: list[int]) -> Beginning:
        """The longest one that the prompt begins with, read now where an earlier prompt began so; an empty one where
        there is none."""
        known = max(
            (each for each in self._kept if starts_with(prompt, each.tokens)),
            key=lambda each: len(each.tokens),
            default=Beginning(),
        )
        same = 0
        for other in self._recent:
            if prompt[: same + 1] == other[: same + 1]:
                same = _same(prompt, other)
        same = min(same, len(prompt) - 1, room(model.device))
        self._recent = [*self._recent, prompt][-RECENT:]
        if same >= len(known.tokens) + FEWEST:
            known = read_beginning(model, tuple(prompt[:same]))
            self.read_tokens += same
        if known.tokens:
            others = [each for each in self._kept if each is not known][: KEPT - 1]
            left = room(model.device) - len(known.tokens)
            self._kept = [known]
            for each in others:
                left -= len(each.tokens)
                self._kept += [each] if left >= 0 else []
        return known


def _same(one: list[int], other: list[int]) -> int:
    """How many tokens two prompts begin with alike; by halves, since whole slices are compared fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def read(model: Any, prompts: list[list[int]], pad: int, beginning: Beginning) -> Prefix:
    """Runs the model over prompts that all begin with `beginning`, whose keys and values are taken as they are."""
    if not beginning.tokens:
        return read_prompts(model, prompts, pad)
    own = [prompt[len(beginning.tokens) :] for prompt in prompts]
    longest = max(map(len, own))
    ids = torch.full((len(own), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(own), longest), dtype=torch.long)
    for row, tokens in enumerate(own):
        ids[row, longest - len(tokens) :] = torch.tensor(tokens, dtype=torch.long)
        mask[row, longest - len(tokens) :] = 1
    mask = torch.cat([torch.ones((len(own), len(beginning.tokens)), dtype=torch.long), mask], dim=1)
    cache = DynamicCache()
    for place, (keys, values) in enumerate(beginning.layers):
        cache.update(*(part.expand(len(own), -1, -1, -1) for part in (keys, values)), place)
    ids, mask = ids.to(model.device), mask.to(model.device)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask, Beginning())[:, -longest:],
        past_key_values=cache,
        use_cache=True,
        **last_logits_only(model),
    )
    give_room(output.past_key_values)
    return Prefix(mask, output.past_key_values, output.logits[:, -1].float())


def can_join(prefix: Prefix) -> bool:
    """Whether rows can be added to this batch while it runs: every layer must hold all keys and values."""
    layers = getattr(prefix.cache, "layers", [])
    return bool(layers) and all(type(layer) in (DynamicLayer, RoomyLayer) for layer in layers)


def join(one: Prefix, other: Prefix) -> Prefix:
    """Both batches as one, the rows of `one` first; uses up both."""
    longest = max(one.mask.shape[1], other.mask.shape[1])
    mask = torch.cat([_longer(part.mask, longest, 1) for part in (one, other)])
    for mine, theirs in zip(one.cache.layers, other.cache.layers, strict=True):
        mine.keys, mine.values = (
            torch.cat([_longer(part, longest, 2) for part in pair])
            for pair in ((mine.keys, theirs.keys), (mine.values, theirs.values))
        )
    return Prefix(mask, one.cache, torch.cat([one.next_logits, other.next_logits]))


def _longer(part: torch.Tensor, length: int, dim: int) -> torch.Tensor:
    """With zeros in front, so long along `dim`."""
    missing = length - part.shape[dim]
    if not missing:
        return part
    shape = list(part.shape)
    shape[dim] = missing
    return torch.cat([part.new_zeros(shape), part], dim=dim)


def trim(prefix: Prefix) -> Prefix:
    """Without the columns in front that are padding in every row, which rows that have left needed."""
    spare = int(prefix.mask.any(0).int().argmax())
    if spare:
        prefix.mask = prefix.mask[:, spare:]
        for layer in prefix.cache.layers:
            layer.keys, layer.values = layer.keys[..., spare:, :], layer.values[..., spare:, :]
    return prefix
