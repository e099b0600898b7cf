"""Asks a causal language model of Transformers, many prompts at once. Made by starter.py and hub_predict.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .constrained import Constraint
from .generation import Answered, Beginning, generate, keep_rows, read_beginning, read_prompts
from .label_scores import LabelReader, score_one_by_one
from .predict import Reply
from .process import keep_freed_memory
from .sharing import batches, can_share, common_beginning, room, starts_with


@dataclass
class TransformersEngine:
    """A model with what it takes to ask it; predict.py says what its two functions do.

    `labels` maps each label to its tokens, the end token included; {} where answers are no closed set. With `choose` the
    answer is the most probable label, and nothing is generated. `most` is the longest answer in tokens.
    """

    model: Any
    pad: int
    ends: set[int]
    decode: Callable[[list[int]], str]
    labels: dict[str, list[int]]
    batch_size: int
    most: int
    choose: bool = False
    constraint: Constraint | None = None
    shared: Beginning = field(default_factory=Beginning)
    plain: bool = False

    def prepare(self, prompts: list[list[int]], say: Callable[[str], None]) -> list[list[int]]:
        """Reads what the prompts share; the plain way where the model cannot be asked so."""
        import torch

        if self.model.device.type == "cpu":
            keep_freed_memory()
        tokens = () if self.plain else common_beginning(prompts)
        with torch.inference_mode():
            self.shared = read_beginning(self.model, tokens)
            found = batches(prompts, tokens, self.batch_size, self.most, room(self.model.device))
            if not self.plain and (tokens or self.labels):
                sharing = [prompt for prompt in prompts if starts_with(prompt, tokens)]
                pair = [min(sharing, key=len), max(sharing, key=len)]
                if not can_share(
                    self.model, pair, self.pad, self.shared, list(self.labels.values()), self.most
                ):
                    say(
                        "this model is asked without sharing: its attention does not keep labels or beginnings apart"
                    )
                    self.plain, self.shared = True, Beginning()
                    found = batches(prompts, (), self.batch_size, self.most, room(self.model.device))
        if self.shared.tokens:
            say(
                f"the first {len(self.shared.tokens)} tokens are the same in nearly all prompts and are read once"
            )
        return found

    def ask(self, prompts: list[list[int]]) -> list[Reply]:
        """The answers to a batch of prompts."""
        import torch

        with torch.inference_mode():
            whole = all(starts_with(prompt, self.shared.tokens) for prompt in prompts)
            prefix = read_prompts(self.model, prompts, self.pad, self.shared if whole else None)
            scores, answers = None, dict[int, Answered]()
            if self.labels and self.plain:
                scores = score_one_by_one(self.model, prefix, list(self.labels.values()))
            elif self.labels:
                reader = LabelReader(self.model, prefix, list(self.labels.values()), self.ends, self.most)
                scores = reader.scores
                answers = {} if self.constraint else reader.answers
            if self.choose and scores is not None:
                return [self._chosen(row) for row in scores]
            open_rows = [row for row in range(len(prompts)) if row not in answers]
            if open_rows:
                if len(open_rows) < len(prompts):
                    prefix = keep_rows(prefix, open_rows)
                allowed = self.constraint.start(len(open_rows)) if self.constraint else None
                made = generate(self.model, prefix, self.ends, self.most, allowed)
                answers |= dict(zip(open_rows, made, strict=True))
        return [
            self._reply(answers[row], None if scores is None else scores[row]) for row in range(len(prompts))
        ]

    def _reply(self, answer: Answered, scores: Any) -> Reply:
        return Reply(self.decode(answer.tokens), self._chances(scores), answer.logprob, len(answer.tokens))

    def _chosen(self, scores: Any) -> Reply:
        """The most probable label; of two the first."""
        label = list(self.labels)[int(scores.argmax())]
        return Reply(label, self._chances(scores), float(scores.max()), len(self.labels[label]) - 1)

    def _chances(self, scores: Any) -> dict[str, float] | None:
        if scores is None:
            return None
        return dict(zip(self.labels, scores.softmax(-1).tolist(), strict=True))
