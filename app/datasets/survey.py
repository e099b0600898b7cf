"""What is learned about the items while a file is read once, in memory that does not grow. Used by check_file.py."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.datasets.check import Report
from app.datasets.facts import Sizes
from app.datasets.index import Indexed
from app.datasets.items import PART_NAMES, answer_text
from app.datasets.parse import Batch
from app.datasets.task import Answers
from app.datasets.tokens import LONG_ROW

SAMPLED_PER_BATCH = 20


@dataclass
class Survey:
    """What is known of the items while they are read."""

    tokens: Sizes = field(default_factory=Sizes)
    characters: Sizes = field(default_factory=Sizes)
    answer_sizes: Sizes = field(default_factory=Sizes)
    answers: Answers = field(default_factory=Answers)
    parts: Any = field(default_factory=lambda: np.zeros(len(PART_NAMES), np.int64))
    instruction: str = ""
    rejected: int = 0

    def add(self, batch: Batch, indexed: Indexed, report: Report) -> None:
        """Takes one batch."""
        columns, texts, tokens = indexed.columns, indexed.answers, indexed.tokens
        replies = np.array(columns.answer_characters)
        self.tokens.add(tokens)
        self.answer_sizes.add(replies)
        self.characters.add(indexed.characters)
        self.parts += np.bincount(batch.parts, minlength=len(PART_NAMES))
        first = not self.answers.seen
        step = 1 if first else max(1, len(texts) // SAMPLED_PER_BATCH)
        self.answers.add(columns.label, texts[::step])
        if first and batch.chats[0][0].role in ("system", "developer"):
            self.instruction = str(batch.chats[0][0].content)
        if int(tokens.max()) > LONG_ROW:
            _warn(report, "long-row", batch, tokens > LONG_ROW)
        if not int(replies.min()) or any(map(str.isspace, texts)):
            _warn(report, "empty-answer", batch, np.array([not text.strip() for text in texts]))
        self._compare(batch, texts, report)
        weights = [chat[-1].weight for chat in batch.chats]
        if 0 in weights:
            _warn(report, "weight-zero", batch, np.array([weight == 0 for weight in weights]))

    def _compare(self, batch: Batch, texts: list[str], report: Report) -> None:
        """Counts rejected answers; names those that are the same as the wanted one."""
        there = len(batch.rejected) - batch.rejected.count(None)
        self.rejected += there
        if there:
            same = [
                message is not None and answer_text(message) == text
                for message, text in zip(batch.rejected, texts, strict=True)
            ]
            if any(same):
                _warn(report, "same-as-rejected", batch, np.array(same))


def _warn(report: Report, code: str, batch: Batch, odd: Any) -> None:
    report.warn(code, [batch.lines[index] for index in np.flatnonzero(odd)])
