"""Asks a model by mistral-inference, one prompt after the other. Made by mistral_finetune.py; predict.py says what its
two functions do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..predict import Reply
from ._softmax import softmax


def load(folder: Path, adapter: Path, scaling: float) -> Any:
    """The base model in bf16 on the GPU with the adapter merged into it."""
    import torch
    from mistral_inference.transformer import Transformer

    model = Transformer.from_folder(folder, max_batch_size=1, device="cuda", dtype=torch.bfloat16)
    model.load_lora(adapter, scaling=scaling)
    return model


def split(tokens: list[int], trained: list[bool]) -> tuple[list[int], list[int]]:
    """(the tokens before the last answer, its own with the end), of a chat as it is trained on."""
    start = len(trained)
    while start and trained[start - 1]:
        start -= 1
    return tokens[:start], tokens[start:]


@dataclass
class MistralEngine:
    """`labels` maps each label to its tokens, the end token included; {} where answers are no closed set. `most` is the
    longest answer in tokens."""

    model: Any
    labels: dict[str, list[int]]
    most: int

    def prepare(self, prompts: list[list[int]], say: Callable[[str], None]) -> list[list[int]]:
        """Each prompt alone."""
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

        self.tokenizer = MistralTokenizer.v3().instruct_tokenizer.tokenizer
        return [[row] for row in range(len(prompts))]

    def ask(self, prompts: list[list[int]]) -> list[Reply]:
        """The answers, by greedy decoding, and the labels' probabilities."""
        return [self._ask(prompt) for prompt in prompts]

    def _ask(self, prompt: list[int]) -> Reply:
        from mistral_inference.generate import generate

        end = self.tokenizer.eos_id
        made, _ = generate([prompt], self.model, max_tokens=self.most, temperature=0.0, eos_id=end)
        tokens = list(made[0]) if made else []
        whole = [*tokens, end] if len(tokens) < self.most else tokens
        scores = [self._score(prompt, label) for label in self.labels.values()]
        p = dict(zip(self.labels, softmax(scores), strict=True)) if scores else None
        return Reply(self.tokenizer.decode(tokens), p, self._score(prompt, whole), len(tokens))

    def _score(self, prompt: list[int], answer: list[int]) -> float:
        """The log-probability of an answer behind the prompt: generate() tells that of every token it is given."""
        from mistral_inference.generate import generate

        _, logprobs = generate([prompt + answer], self.model, max_tokens=0, temperature=0.0)
        return float(sum(logprobs[0][len(prompt) - 1 :]))
