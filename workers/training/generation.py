"""Greedy generation in batches whose prompts may share their beginning. Used by engine.py and label_scores.py.

Padding stands on the left, so that every prompt ends where its answer begins; on the right it would push padding
between the two and ruin the answers. A shared beginning is read once and stands before the padding.
"""

import inspect
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Answered:
    """What was generated for one prompt: tokens without the end token, and the model's log-probability (natural) of
    all of them, the end token included where it came."""

    tokens: list[int]
    logprob: float


@dataclass
class Prefix:
    """A batch of prompts that the model has read. `mask` is (prompts, length), `next_logits` (prompts, vocabulary)."""

    mask: "torch.Tensor"
    cache: Any
    next_logits: "torch.Tensor"


@dataclass(frozen=True)
class Beginning:
    """Tokens that prompts share, read once: `cache` has one row. () for none."""

    tokens: tuple[int, ...] = ()
    cache: Any = None


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
    ids = torch.tensor([tokens], device=model.device)
    output = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, **last_logits_only(model)
    )
    return Beginning(tokens, output.past_key_values)


def read_prompts(model: Any, prompts: list[list[int]], pad: int, shared: Beginning | None = None) -> Prefix:
    """Runs the model over the prompts once, keeping the keys and values for what follows.

    All prompts begin with the tokens of `shared` and have at least one of their own.
    """
    import torch

    shared = shared or Beginning()
    known = len(shared.tokens)
    longest = max(map(len, prompts)) - known
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.ones((len(prompts), known + longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        own = prompt[known:]
        ids[row, longest - len(own) :] = torch.tensor(own, dtype=torch.long)
        mask[row, known : known + longest - len(own)] = 0
    ids, mask = ids.to(model.device), mask.to(model.device)
    given = {"past_key_values": _copies(shared.cache, len(prompts))} if known else {}
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=_positions(mask)[:, known:],
        use_cache=True,
        **given,
        **last_logits_only(model),
    )
    return Prefix(mask, output.past_key_values, output.logits[:, -1].float())


def last_logits_only(model: Any) -> dict[str, int]:
    """The option that spares the last layer all tokens but the last; its name changed in Transformers 4.50."""
    whole = model.get_base_model() if hasattr(model, "peft_config") else model
    names = inspect.signature(whole.forward).parameters
    return next(({name: 1} for name in ("logits_to_keep", "num_logits_to_keep") if name in names), {})


def _copies(cache: Any, count: int) -> Any:
    copy = deepcopy(cache)
    copy.batch_repeat_interleave(count)
    return copy


def _positions(mask: "torch.Tensor") -> "torch.Tensor":
    return (mask.cumsum(-1) - 1).clamp(min=0)


def go_on(model: Any, cache: Any, mask: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """Logits (prompts, new tokens, vocabulary) after `tokens`; `mask` covers them too. Changes `cache`."""
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=_positions(mask)[:, -tokens.shape[1] :],
        past_key_values=cache,
        use_cache=True,
    )
    logits: torch.Tensor = output.logits.float()
    return logits


def keep_rows(prefix: Prefix, rows: list[int]) -> Prefix:
    """The prefix of some of its prompts; uses up the prefix."""
    import torch

    places = torch.tensor(rows, device=prefix.mask.device)
    prefix.cache.batch_select_indices(places)
    return Prefix(prefix.mask[places], prefix.cache, prefix.next_logits[places])


def generate(
    model: Any, prefix: Prefix, ends: set[int], most: int, allowed: Allowed | None = None
) -> list[Answered]:
    """The most probable (allowed) token again and again, until an end token or `most` tokens. Uses up the prefix.

    Prompts whose answer is whole leave the batch once they are half of it.
    """
    import torch

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
        mask = torch.cat([prefix.mask, torch.ones_like(prefix.mask[:, :1])], dim=1)
        logits = go_on(model, prefix.cache, mask, choice.unsqueeze(1))[:, -1]
        prefix = Prefix(mask, prefix.cache, logits)
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
