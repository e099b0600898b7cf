"""Greedy generation in left-padded batches, and the log-probability of given continuations. Used by predict.py.

Padding stands on the left, so that every prompt ends where its answer begins; on the right it would push
padding between the two and ruin the answers.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Answered:
    """What was generated for one prompt: tokens without the end token, and the log-probability (natural) of
    all of them, the end token included where it came."""

    tokens: list[int]
    logprob: float


@dataclass
class Prefix:
    """A batch of prompts that the model has read. `mask` is (prompts, length), `next_logits` (prompts, vocabulary)."""

    mask: "torch.Tensor"
    cache: Any
    next_logits: "torch.Tensor"


def read_prompts(model: Any, prompts: list[list[int]], pad: int) -> Prefix:
    """Runs the model over the prompts once, keeping the keys and values for what follows."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=_positions(mask), use_cache=True, logits_to_keep=1
    )
    return Prefix(mask, output.past_key_values, output.logits[:, -1].float())


def _positions(mask: "torch.Tensor") -> "torch.Tensor":
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _go_on(model: Any, cache: Any, mask: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """Logits (prompts, new tokens, vocabulary) after `tokens`; `mask` covers them too. Changes `cache`."""
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=_positions(mask)[:, -tokens.shape[1] :],
        past_key_values=cache,
        use_cache=True,
    )
    return output.logits.float()


def score_continuations(model: Any, prefix: Prefix, continuations: list[list[int]]) -> "torch.Tensor":
    """Log-probabilities (prompts, continuations) of each continuation after each prompt, summed over its tokens."""
    import torch

    first = prefix.next_logits.log_softmax(-1)
    rows = first.shape[0]
    scores = torch.empty((rows, len(continuations)), dtype=torch.float64)
    for column, tokens in enumerate(continuations):
        total = first[:, tokens[0]].double()
        if len(tokens) > 1:
            fed = torch.tensor([tokens[:-1]] * rows, device=first.device)
            mask = torch.cat([prefix.mask, torch.ones_like(fed)], dim=1)
            logits = _go_on(model, deepcopy(prefix.cache), mask, fed).log_softmax(-1)
            wanted = torch.tensor([tokens[1:]] * rows, device=first.device)
            total = total + logits.gather(-1, wanted.unsqueeze(-1)).squeeze(-1).double().sum(-1)
        scores[:, column] = total.cpu()
    return scores


def generate(model: Any, prefix: Prefix, ends: set[int], most: int) -> list[Answered]:
    """The most probable token again and again, until an end token or `most` tokens. Uses up the prefix."""
    import torch

    rows = prefix.next_logits.shape[0]
    tokens: list[list[int]] = [[] for _ in range(rows)]
    sums, open_rows = [0.0] * rows, set(range(rows))
    logits, mask = prefix.next_logits, prefix.mask
    for position in range(most):
        best, choice = logits.log_softmax(-1).max(-1)
        for row, token, logprob in zip(range(rows), choice.tolist(), best.tolist(), strict=True):
            if row in open_rows:
                sums[row] += logprob
                if token in ends:
                    open_rows.discard(row)
                else:
                    tokens[row].append(token)
        if not open_rows or position == most - 1:
            break
        mask = torch.cat([mask, torch.ones((rows, 1), dtype=mask.dtype, device=mask.device)], dim=1)
        logits = _go_on(model, prefix.cache, mask, choice.unsqueeze(1))[:, -1]
    return [Answered(*pair) for pair in zip(tokens, sums, strict=True)]
