"""Baselines: fitted from their bundles when first asked, then kept. Used by server.py, in a thread of their own."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import baselines
from app.baselines._base import Example, Setting
from workers.training.job import answer_text, prompt_text, read_job

from .asked import Asked, ModelName
from .notes import label_note
from .refusals import ERRORS, Refusal, refusal_of

# Fitted models that are kept; each holds its vocabulary and weights, a few MB to some hundred.
KEPT = 8


@dataclass
class Fitted:
    """A fitted baseline; `used` is when it last answered (monotonic)."""

    name: ModelName
    model: Any
    used: float = field(default_factory=time.monotonic)


class Baselines:
    """All methods but `forget` run in the baselines' thread."""

    def __init__(self) -> None:
        self.fitted: dict[ModelName, Fitted] = {}

    def answer(self, asked: Asked) -> list[dict[str, Any]]:
        """The lines of the answer. Raises Refusal."""
        found = self.fitted.get(asked.model)
        if found is None:
            try:
                found = Fitted(asked.model, _fit(asked.model))
            except ERRORS as error:
                raise refusal_of(error) from error
            self.fitted[asked.model] = found
            self._forget_oldest()
        text = prompt_text(asked.messages)
        said = found.model.predict([text])[0]
        found.used = time.monotonic()
        tokens = (
            [label_note(said.text, said.p, max(1, asked.top_logprobs))] if asked.logprobs and said.p else []
        )
        words = len(text.split())
        return [
            {"text": said.text, "tokens": tokens},
            {
                "finish": "stop",
                "prompt_tokens": words,
                "completion_tokens": len(said.text.split()),
                "p": said.p,
            },
        ]

    def _forget_oldest(self) -> None:
        while len(self.fitted) > KEPT:
            del self.fitted[min(self.fitted.values(), key=lambda each: each.used).name]

    def forget(self, before: float, id: str | None = None) -> int:
        """Drops those last used before a time (monotonic), of that id alone where one is given; says how many."""
        old = [each for each in self.fitted.values() if each.used <= before and id in (None, each.name.id)]
        for each in old:
            self.fitted.pop(each.name, None)
        return len(old)


def _fit(name: ModelName) -> Any:
    """As workers/training/baseline.py fits it: the same data, values and seed give the same model."""
    if name.bundle is None:
        raise Refusal("bad_request", "A baseline is fitted from its bundle.", "Send model.bundle.")
    try:
        job = read_job(Path(name.bundle))
    except SystemExit as error:
        raise Refusal("broken", str(error), "Restore the run's files from a backup.") from error
    kind = baselines.load(job.model.partition("/")[2])
    rows = job.train
    examples = [Example(prompt_text(row["messages"][:-1]), answer_text(row["messages"][-1])) for row in rows]
    return kind.fit(examples, Setting(job.task, tuple(job.labels), job.values, job.seed, job.threads))
