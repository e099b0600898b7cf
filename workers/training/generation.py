"""Greedy generation in batches whose prompts may share their beginning. Used by engine.py and label_scores.py.

Padding stands on the left, so that every prompt ends where its answer begins; on the right it would push padding
between the two and ruin the answers. A shared beginning is read once and kept once.
"""

import inspect
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Answered:
    """What was generated for one prompt: tokens without the end token, and the model's log-probability (natural) of
    all of them, the end token included where it came."""

    tokens: list[int]
    logprob: float


@dataclass(frozen=True)
class Beginning:
    """Tokens that prompts share, with their keys and values (shared_attention.py); () for none."""

    tokens: tuple[int, ...] = ()
    layers: Any = ()


@dataclass
class Prefix:
    """A batch of prompts that the model has read. `mask` is (prompts, length) and `cache` as long, both without the
    shared beginning; `next_logits` is (prompts, vocabulary)."""

    mask: "torch.Tensor"
    cache: Any
    next_logits: "torch.Tensor"
    shared: Beginning = field(default_factory=Beginning)


class Allowed(Protocol):
    """Says which tokens may come next; constrained.py makes one for each batch."""

    def mask(self, prompts: list[int], vocabulary: int) -> "torch.Tensor":
        """Booleans (prompts, vocabulary) for these prompts of the batch."""

    def take(self, prompt: int, token: int) -> None:
        """Notes that a prompt's answer goes on with `token`."""


def read_beginning(model: Any, tokens: tuple[int, ...]) -> Beginning:
    """Runs the model over what prompts share."""
    import torch

    if not tokens:
        return Beginning()
    from .shared_attention import layers_of

    ids = torch.tensor([tokens], device=model.device)
    output = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, **last_logits_only(model)
    )
    return Beginning(tokens, layers_of(output.past_key_values))


def read_prompts(model: Any, prompts: list[list[int]], pad: int, shared: Beginning | None = None) -> Prefix:
    """Runs the model over the prompts once, keeping the keys and values for what follows.

    All prompts begin with the tokens of `shared` and have at least one of their own.
    """
    import torch

    shared = shared or Beginning()
    own = [prompt[len(shared.tokens) :] for prompt in prompts]
    longest = max(map(len, own))
    ids = torch.full((len(own), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(own), longest), dtype=torch.long)
    for row, tokens in enumerate(own):
        ids[row, longest - len(tokens) :] = torch.tensor(tokens, dtype=torch.long)
        mask[row, longest - len(tokens) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    output = forward(
        model,
        shared,
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask, shared),
        **last_logits_only(model),
    )
    _give_room(output.past_key_values)
    return Prefix(mask, output.past_key_values, output.logits[:, -1].float(), shared)


def forward(model: Any, shared: Beginning, **given: Any) -> Any:
    """The model's output for tokens that stand behind a shared beginning."""
    behind: Any = nullcontext()
    if shared.tokens:
        from . import shared_attention

        behind = shared_attention.behind(model, shared.layers)
    with behind:
        return model(use_cache=True, **given)


def positions(mask: "torch.Tensor", shared: Beginning) -> "torch.Tensor":
    """Where each token stands in its prompt, from 0."""
    return (mask.cumsum(-1) - 1).clamp(min=0) + len(shared.tokens)


def _give_room(cache: Any) -> None:
    try:
        from .roomy_cache import give_room
    except ImportError:
        # Transformers before 4.54 keeps keys and values otherwise.
        return
    give_room(cache)


def last_logits_only(model: Any) -> dict[str, int]:
    """The option that spares the last layer all tokens but the last; its name changed in Transformers 4.50."""
    whole = model.get_base_model() if hasattr(model, "peft_config") else model
    names = inspect.signature(whole.forward).parameters
    return next(({name: 1} for name in ("logits_to_keep", "num_logits_to_keep") if name in names), {})


def go_on(model: Any, prefix: Prefix, tokens: "torch.Tensor") -> tuple[Prefix, "torch.Tensor"]:
    """The prefix with `tokens` (prompts, count) behind it, and the logits (prompts, count, vocabulary) after each of
    them. Uses up the prefix."""
    import torch

    mask = torch.cat([prefix.mask, torch.ones_like(tokens)], dim=1)
    output = forward(
        model,
        prefix.shared,
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions(mask, prefix.shared)[:, -tokens.shape[1] :],
        past_key_values=prefix.cache,
    )
    logits: torch.Tensor = output.logits.float()
    return Prefix(mask, prefix.cache, logits[:, -1], prefix.shared), logits


def keep_rows(prefix: Prefix, rows: list[int]) -> Prefix:
    """The prefix of some of its prompts; uses up the prefix."""
    import torch

    places = torch.tensor(rows, device=prefix.mask.device)
    prefix.cache.batch_select_indices(places)
    return Prefix(prefix.mask[places], prefix.cache, prefix.next_logits[places], prefix.shared)


def generate(
    model: Any, prefix: Prefix, ends: set[int], most: int, allowed: Allowed | None = None
) -> list[Answered]:
    """The most probable (allowed) token again and again, until an end token or `most` tokens. Uses up the prefix.

    Prompts whose answer is whole leave the batch once they are half of it.
    """
    tokens: list[list[int]] = [[] for _ in range(prefix.next_logits.shape[0])]
    sums, done = [0.0] * len(tokens), [False] * len(tokens)
    live = list(range(len(tokens)))
    for position in range(most):
        choice, logprobs = _choose(prefix.next_logits, live, allowed)
        for row, token, logprob in zip(live, choice.tolist(), logprobs.tolist(), strict=True):
            if done[row]:
                continue
            sums[row] += logprob
            done[row] = token in ends
            if not done[row]:
                tokens[row].append(token)
                if allowed:
                    allowed.take(row, token)
        kept = [place for place, row in enumerate(live) if not done[row]]
        if not kept or position == most - 1:
            break
        if len(kept) * 2 <= len(live):
            prefix = keep_rows(prefix, kept)
            live, choice = [live[place] for place in kept], choice[kept]
        prefix, _ = go_on(model, prefix, choice.unsqueeze(1))
    return [Answered(*pair) for pair in zip(tokens, sums, strict=True)]


def _choose(
    logits: "torch.Tensor", rows: list[int], allowed: Allowed | None
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(the best token of each row, its log-probability among all tokens)."""
    every = logits.logsumexp(-1)
    if allowed:
        logits = logits.masked_fill(~allowed.mask(rows, logits.shape[-1]).to(logits.device), float("-inf"))
    best, choice = logits.max(-1)
    return choice, best - every
