"""Labels told as tokens with log-probabilities. Used by lane.py and baselines.py."""

import math


def label_note(label: str, chances: dict[str, float], top: int) -> dict[str, object]:
    """A whole label told as if it were one token: its log-probability among all labels, the others beside it."""
    ordered = sorted(chances.items(), key=lambda pair: -pair[1])[:top]
    return {
        "token": label,
        "logprob": logarithm(chances[label]),
        "top": [[name, logarithm(chance)] for name, chance in ordered],
    }


def logarithm(chance: float) -> float:
    """Natural; of 0 the lowest that JSON readers take, as OpenAI writes it."""
    return math.log(chance) if chance > 0 else -9999.0
