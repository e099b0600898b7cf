"""Asks a model of MLX, one prompt after the other. Made by mlx.py; predict.py says what its two functions do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..predict import Reply
from ._softmax import softmax


@dataclass
class MlxEngine:
    """`labels` maps each label to its tokens, the end token included; {} where answers are no closed set. `most` is the
    longest answer in tokens."""

    model: Any
    ends: set[int]
    decode: Callable[[list[int]], str]
    labels: dict[str, list[int]]
    most: int

    def prepare(self, prompts: list[list[int]], say: Callable[[str], None]) -> list[list[int]]:
        """Each prompt alone."""
        self.model.eval()
        return [[row] for row in range(len(prompts))]

    def ask(self, prompts: list[list[int]]) -> list[Reply]:
        """The answers, by greedy decoding, and the labels' probabilities."""
        return [self._ask(prompt) for prompt in prompts]

    def _ask(self, prompt: list[int]) -> Reply:
        from mlx_lm.models.cache import make_prompt_cache

        cache = make_prompt_cache(self.model)
        first = self._read(prompt, cache)[-1]
        scores = [self._score(prompt, label, first, cache) for label in self.labels.values()]
        tokens, logprob = self._generate(first, cache)
        p = dict(zip(self.labels, softmax(scores), strict=True)) if scores else None
        return Reply(self.decode(tokens), p, logprob, len(tokens))

    def _read(self, tokens: list[int], cache: Any) -> Any:
        """Log-probabilities (tokens, vocabulary) after each token."""
        import mlx.core as mx

        logits = self.model(mx.array([tokens]), cache=cache)[0].astype(mx.float32)
        return logits - mx.logsumexp(logits, axis=-1, keepdims=True)

    def _score(self, prompt: list[int], label: list[int], first: Any, cache: Any) -> float:
        """The log-probability of a label with its end behind the prompt; leaves the cache as it was."""
        from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

        if len(label) == 1:
            return float(first[label[0]].item())
        if can_trim_prompt_cache(cache):
            rest = self._read(label[:-1], cache)
            trim_prompt_cache(cache, len(label) - 1)
        else:
            rest = self._read(prompt + label[:-1], None)[len(prompt) :]
        later = [rest[place, token].item() for place, token in enumerate(label[1:])]
        return float(first[label[0]].item()) + float(sum(later))

    def _generate(self, chances: Any, cache: Any) -> tuple[list[int], float]:
        """(tokens without the end, log-probability of all of them with their end where it came)."""
        tokens: list[int] = []
        total = 0.0
        while True:
            token = int(chances.argmax().item())
            total += float(chances[token].item())
            if token in self.ends:
                return tokens, total
            tokens.append(token)
            if len(tokens) == self.most:
                return tokens, total
            chances = self._read([token], cache)[-1]
