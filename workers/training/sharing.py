"""What prompts have in common, and whether a model can be asked so that the work is shared. Used by engine.py."""

import math
from typing import TYPE_CHECKING, Any

from .failures import out_of_memory
from .generation import Beginning, read_prompts
from .label_scores import LabelReader

if TYPE_CHECKING:
    import torch

# Tokens that a batch may hold: on a GPU their keys and values are 2 GB for a model of 8 billion parameters; a processor
# is slower with more than its caches hold.
TOKENS_AT_ONCE = {"cuda": 16_384}
TOKENS_ON_A_PROCESSOR = 4096
# Fewer tokens than this are read again faster than they are copied.
FEWEST_SHARED = 8
# A few prompts may differ: those that lost their beginning to the longest length.
ODD_ONES = 0.05
# How far probabilities may lie from those worked out alone (half the sum of differences): sums are rounded in another
# order. What another's tokens change is far more.
ROUNDING, COARSE_ROUNDING = 1e-3, 0.05
CHECKED_LABELS = 4


def common_beginning(prompts: list[list[int]]) -> tuple[int, ...]:
    """The tokens with which nearly all prompts begin, each having one more of its own; () where there are few."""
    if len(prompts) < 2:
        return ()
    order = sorted(prompts)
    odd = int(len(order) * ODD_ONES)
    first, last = order[odd], order[-1 - odd]
    same = next(
        (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        len(min(first, last, key=len)),
    )
    shortest = min(len(prompt) for prompt in order[odd : len(order) - odd])
    same = min(same, shortest - 1)
    return tuple(first[:same]) if same >= FEWEST_SHARED else ()


def starts_with(prompt: list[int], tokens: tuple[int, ...]) -> bool:
    """Whether a prompt begins with these tokens and has one more of its own."""
    return len(prompt) > len(tokens) and tuple(prompt[: len(tokens)]) == tokens


def room(device: Any) -> int:
    """How many tokens a batch may hold on a device."""
    return TOKENS_AT_ONCE.get(device.type, TOKENS_ON_A_PROCESSOR)


def batches(
    prompts: list[list[int]], shared: tuple[int, ...], size: int, most: int, tokens: int
) -> list[list[int]]:
    """Numbers of prompts, at most `size` at once and, beside what they share, `tokens` with their answers: those that
    share their beginning first, short ones before long ones. `most` is the longest answer."""
    apart = [not starts_with(prompt, shared) for prompt in prompts]
    found: list[list[int]] = []
    for row in sorted(range(len(prompts)), key=lambda row: (apart[row], len(prompts[row]), row)):
        rows = found[-1] if found else []
        own = len(prompts[row]) - (0 if apart[row] else len(shared))
        fits = len(rows) < size and (len(rows) + 1) * (own + most) <= tokens
        if rows and fits and apart[rows[0]] == apart[row]:
            rows.append(row)
        else:
            found.append([row])
    return found


def can_share(
    model: Any, prompts: list[list[int]], pad: int, shared: Beginning, labels: list[list[int]], most: int
) -> bool:
    """Whether the model says the same of the first prompt alone as in a batch of these prompts, behind their shared
    beginning and with the labels as a tree. Some kinds of attention heed no such masks."""
    import torch

    if reach(model.config) < max(map(len, prompts)) + most:
        return False
    labels = labels[:CHECKED_LABELS]
    far = ROUNDING if model.dtype == torch.float32 else COARSE_ROUNDING
    try:
        prefix = read_prompts(model, prompts, pad, shared)
        pairs = [(prefix.next_logits[0].softmax(-1), _logits(model, prompts[0])[-1].softmax(-1))]
        if labels:
            scores = LabelReader(model, prefix, labels, set(), most).scores[0]
            apart = torch.stack([_score(model, prompts[0], label) for label in labels])
            pairs.append((scores.softmax(-1), apart.softmax(-1)))
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        if out_of_memory(error):
            raise
        return False
    return all(float((one.cpu() - other.cpu()).abs().sum()) / 2 < far for one, other in pairs)


def reach(config: Any) -> float:
    """How many tokens back the shortest-sighted layer sees; 0 for layers that keep a running state instead."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    window = getattr(text, "sliding_window", None) or math.inf
    chunk = getattr(text, "attention_chunk_size", None) or math.inf
    sights = {"full_attention": math.inf, "sliding_attention": window, "chunked_attention": chunk}
    kinds = getattr(text, "layer_types", None)
    return min(sights.get(kind, 0) for kind in set(kinds)) if kinds else window


def _logits(model: Any, tokens: list[int]) -> "torch.Tensor":
    import torch

    logits: torch.Tensor = model(input_ids=torch.tensor([tokens], device=model.device)).logits[0].float()
    return logits


def _score(model: Any, prompt: list[int], label: list[int]) -> "torch.Tensor":
    import torch

    chances = _logits(model, prompt + label)[len(prompt) - 1 : -1].log_softmax(-1)
    total: torch.Tensor = (
        chances.gather(-1, torch.tensor([label], device=chances.device).T).double().sum().cpu()
    )
    return total
