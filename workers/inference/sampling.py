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
    drawn = [row for row, rule in enumerate(rules) if rule.temperature > 0]
    if drawn:
        heat = torch.tensor([[rules[row].temperature] for row in drawn], dtype=torch.float64)
        chances = (allowed[drawn].double() / heat.to(allowed.device)).softmax(-1)
        for row, token in zip(drawn, _drawn(chances, [rules[row] for row in drawn]), strict=True):
            tokens[row] = token
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


def _drawn(chances: torch.Tensor, rules: list[Rule]) -> list[int]:
    """A token by chance for each row of probabilities; the same random numbers give the same token whatever else is in
    the batch."""
    numbers = [rule.chance.random() for rule in rules]
    found = _places(chances, numbers)
    for row, rule in enumerate(rules):
        if rule.top_p < 1:
            found[row] = _nucleus(chances[row], rule.top_p, numbers[row])
    return found


def _nucleus(chances: torch.Tensor, top_p: float, number: float) -> int:
    """Among the most probable tokens that hold `top_p` together, at least one."""
    for count in (min(FIRST, len(chances)), len(chances)):
        values, places = chances.topk(count)
        before = values.cumsum(-1) - values
        if count == len(chances) or float(before[-1] + values[-1]) >= top_p:
            break
    kept = max(1, int((before < top_p).sum()))
    return int(places[_places(values[:kept].unsqueeze(0), [number])[0]])


def _places(weights: torch.Tensor, numbers: list[float]) -> list[int]:
    """Where in each row of `weights` (rows, tokens) a number from 0 to 1 falls."""
    sums = weights.cumsum(-1)
    wanted = torch.tensor(numbers, dtype=sums.dtype, device=sums.device).unsqueeze(1) * sums[:, -1:]
    found: list[int] = (
        torch.searchsorted(sums, wanted, right=True).clamp(max=weights.shape[1] - 1).squeeze(1).tolist()
    )
    return found
