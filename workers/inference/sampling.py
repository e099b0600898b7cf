"""Which token comes next in each row of a batch, each by its own rules. Used by lane.py; imports PyTorch."""

import random
from dataclasses import dataclass
from typing import Any

import torch

# With top_p below 1 the most probable tokens are looked at first: they nearly always hold enough.
FIRST = 256


@dataclass
class Rule:
    """How a row goes on. `temperature` 0: the most probable token. `matcher` says which tokens a schema allows. `top`:
    how many tokens beside the taken one are told with their log-probabilities; None: nothing is told."""

    temperature: float
    top_p: float
    chance: random.Random
    matcher: Any = None
    top: int | None = None


@dataclass(frozen=True)
class Taken:
    """A token; its natural log-probability among all tokens and the most probable ones with theirs, where told."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def take(logits: torch.Tensor, rules: list[Rule]) -> list[Taken]:
    """One token for each row of `logits` (rows, vocabulary)."""
    allowed = _masked(logits, rules)
    tokens = allowed.argmax(-1).tolist()
    for row in [row for row, rule in enumerate(rules) if rule.temperature > 0]:
        tokens[row] = _drawn(allowed[row], rules[row])
    told = [row for row, rule in enumerate(rules) if rule.top is not None]
    logprobs = logits[told].log_softmax(-1) if told else None
    found = []
    for row, (token, rule) in enumerate(zip(tokens, rules, strict=True)):
        if rule.top is None or logprobs is None:
            found.append(Taken(token))
            continue
        chances = logprobs[told.index(row)]
        values, places = chances.topk(min(rule.top, len(chances)))
        top = tuple(zip(places.tolist(), values.tolist(), strict=True))
        found.append(Taken(token, float(chances[token]), top))
    return found


def _masked(logits: torch.Tensor, rules: list[Rule]) -> torch.Tensor:
    """Minus infinity where a row's schema allows no token."""
    held = [row for row, rule in enumerate(rules) if rule.matcher is not None]
    if not held:
        return logits
    masked = logits.clone()
    for row in held:
        allowed = rules[row].matcher.mask([0], logits.shape[-1]).to(logits.device)
        masked[row].masked_fill_(~allowed[0], float("-inf"))
    return masked


def _drawn(logits: torch.Tensor, rule: Rule) -> int:
    """A token by chance; the same random numbers give the same token whatever else is in the batch."""
    chances = (logits.double() / rule.temperature).softmax(-1)
    if rule.top_p >= 1:
        return _place(chances, rule.chance)
    for count in (min(FIRST, len(chances)), len(chances)):
        values, places = chances.topk(count)
        before = values.cumsum(-1) - values
        if count == len(chances) or float(before[-1] + values[-1]) >= rule.top_p:
            break
    # The first token always stays, also with top_p 0.
    kept = max(1, int((before < rule.top_p).sum()))
    return int(places[_place(values[:kept], rule.chance)])


def _place(weights: torch.Tensor, chance: random.Random) -> int:
    sums = weights.cumsum(-1)
    place = int(torch.searchsorted(sums, chance.random() * float(sums[-1]), right=True))
    return min(place, len(weights) - 1)
