"""Continuous batching for one loaded model: requests join the running batch and leave it token by token. Used by
device.py, in the device's thread alone; imports PyTorch."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from workers.training.failures import Failure
from workers.training.generation import Answered, Beginning, Prefix, go_on, keep_rows
from workers.training.label_scores import LabelReader, score_one_by_one
from workers.training.sharing import room

from .language import Language
from .notes import label_note
from .prompts import Beginnings, join, read, trim
from .refusals import ERRORS, Refusal, bad, refusal_of
from .sampling import Rule, Taken, take
from .text import AnswerText
from .ticket import Events, Ticket

MOST_ROWS = 64
# A batch may hold so many times the tokens that are read at once.
HELD = 4
# After so many tokens at the latest those who wait enter the batch.
ENTER_STEPS = 4
# How a row that is over goes on until it leaves the batch.
OVER = Rule(0.0, 1.0, random.Random(0))


@dataclass
class Row:
    """A request in the batch. `most` is its longest answer in tokens, `p` the probabilities of its labels; with `choose`
    the most probable of them is the answer."""

    ticket: Ticket
    labels: dict[str, list[int]]
    choose: bool
    most: int
    rule: Rule
    text: AnswerText
    beginning: Beginning = field(default_factory=Beginning)
    p: dict[str, float] | None = None
    done: bool = False


@dataclass
class Lane:
    """The batch of one model and the requests that wait for it; `entering` are on their way between the two."""

    language: Language
    waiting: deque[Ticket] = field(default_factory=deque)
    entering: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    prefix: Prefix | None = None
    beginnings: Beginnings = field(default_factory=Beginnings)
    most_rows: int = MOST_ROWS
    steps: int = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.rows and not self.waiting

    def go(self, events: Events) -> None:
        """Lets requests in, then takes one token for each row. What goes wrong ends the requests that it concerns."""
        try:
            self.language.activate()
            self._drop_cancelled()
            if self._opens():
                self._compact()
                self._admit(events)
                self.steps = 0
            if self.rows:
                self._step(events)
        except ERRORS as error:
            failed = refusal_of(error)
            events += [(row.ticket, failed.told()) for row in (*self.rows, *self.entering) if not row.done]
            self.rows, self.entering, self.prefix, self.beginnings = [], [], None, Beginnings()
            if failed.kind == "out_of_memory":
                self.most_rows = max(1, self.most_rows // 2)

    def _opens(self) -> bool:
        """Whether requests enter now: each time costs a pass of its own, so a few wait for more to enter with them."""
        if not self.waiting or not self.rows:
            return bool(self.waiting)
        enough = len(self.waiting) * 4 >= len(self.rows) or self.steps >= ENTER_STEPS
        return self.language.joins and enough

    def _drop_cancelled(self) -> None:
        for row in self.rows:
            if row.ticket.cancelled:
                row.done, row.rule = True, OVER
        self.waiting = deque(ticket for ticket in self.waiting if not ticket.cancelled)

    def _admit(self, events: Events) -> None:
        self.entering = self._next(events)
        groups: dict[tuple[tuple[str, ...], tuple[int, ...]], list[Row]] = {}
        for row in self.entering:
            if self.language.joins:
                row.beginning = self.beginnings.of(self.language.model, row.ticket.tokens)
            groups.setdefault((tuple(row.labels), row.beginning.tokens), []).append(row)
        for rows in groups.values():
            self._read(rows, events)
        self.entering = []

    def _next(self, events: Events) -> list[Row]:
        """The next requests that fit beside the rows there are, in their order."""
        limit = room(self.language.model.device)
        held = sum(len(row.ticket.tokens) + row.most for row in self.rows)
        fresh, new = 0, list[Row]()
        most_rows = 1 if self.language.plain else self.most_rows
        while self.waiting and len(self.rows) + len(new) < most_rows:
            try:
                row = self._row(self.waiting[0])
            except (*ERRORS, Refusal) as error:
                events.append((self.waiting.popleft(), refusal_of(error).told()))
                continue
            length = len(row.ticket.tokens)
            full = held + length + row.most > limit * HELD or fresh + length > limit
            alike = self.language.joins or not new or new[0].labels == row.labels
            if (self.rows or new) and (full or not alike):
                break
            self.waiting.popleft()
            new.append(row)
            held, fresh = held + length + row.most, fresh + length
        return new

    def _row(self, ticket: Ticket) -> Row:
        """The request as a row. Raises Refusal or Failure where it asks for what cannot be had."""
        asked, language = ticket.asked, self.language
        labels = language.labels_of(asked.labels)
        choose = bool(asked.choose) or (language.choose and asked.labels is None and asked.schema is None)
        if choose and not labels:
            raise bad(
                "The answer shall be one of the labels, and there are none.",
                "Send labels; this model's run has none of its own.",
            )
        rule = Rule(
            asked.temperature,
            asked.top_p,
            random.Random(asked.seed),
            _matcher(language, ticket),
            asked.top_logprobs if asked.logprobs else None,
        )
        most = min(asked.max_tokens or language.most, max(1, language.limit - len(ticket.tokens)))
        return Row(ticket, labels, choose, most, rule, AnswerText(language.decode, asked.stop))

    def _read(self, rows: list[Row], events: Events) -> None:
        """Reads prompts that begin alike and are weighed against the same labels; those that need no more leave."""
        model, labels = self.language.model, rows[0].labels
        prefix = read(model, [row.ticket.tokens for row in rows], self.language.pad, rows[0].beginning)
        answers: dict[int, Answered] = {}
        if labels and self.language.plain:
            _weigh(rows, score_one_by_one(model, prefix, list(labels.values())))
        elif labels:
            ends, most = self.language.ends, self.language.most
            reader = LabelReader(model, prefix, list(labels.values()), ends, most)
            _weigh(rows, reader.scores)
            answers = reader.answers
        for place, row in enumerate(rows):
            if row.choose:
                self._choose(row, events)
            elif place in answers and _greedy(row):
                self._answer(row, answers[place], events)
        stay = [place for place, row in enumerate(rows) if not row.done]
        if not stay:
            return
        prefix = keep_rows(prefix, stay) if len(stay) < len(rows) else prefix
        self.prefix = join(self.prefix, prefix) if self.prefix and self.rows else prefix
        self.rows += [rows[place] for place in stay]

    def _choose(self, row: Row, events: Events) -> None:
        """The most probable label as the answer; its log-probability is that among the labels."""
        chances = row.p or {}
        label = max(chances, key=lambda name: chances[name])
        tokens = [label_note(label, chances, row.rule.top)] if row.rule.top is not None else []
        events.append((row.ticket, _line(label, tokens)))
        self._finish(row, "stop", len(row.labels[label]) - 1, events)

    def _answer(self, row: Row, found: Answered, events: Events) -> None:
        """An answer that reading the labels has shown already, token by token as if it had been made."""
        most = min(row.most, self.language.most)
        if len(found.tokens) >= self.language.most and row.most > self.language.most:
            return
        for token in found.tokens[:most]:
            self._told(row, row.text.take(token), events)
            if row.text.stopped:
                break
        whole = row.text.stopped or len(found.tokens) < most
        self._end(row, "stop" if whole else "length", events)

    def _step(self, events: Events) -> None:
        """One token for each row."""
        assert self.prefix is not None
        self.steps += 1
        found = take(self.prefix.next_logits, [row.rule for row in self.rows])
        for row, taken in zip(self.rows, found, strict=True):
            if not row.done:
                self._take(row, taken, events)
        if all(row.done for row in self.rows):
            self.rows, self.prefix = [], None
            return
        tokens = torch.tensor([[taken.token] for taken in found], device=self.prefix.mask.device)
        if sum(row.done for row in self.rows) * 4 >= len(self.rows):
            tokens = tokens[[place for place, row in enumerate(self.rows) if not row.done]]
            self._compact()
        self.prefix, _ = go_on(self.language.model, self.prefix, tokens)

    def _take(self, row: Row, taken: Taken, events: Events) -> None:
        if taken.token in self.language.ends:
            self._end(row, "stop", events)
            return
        if row.rule.matcher is not None:
            row.rule.matcher.take(0, taken.token)
        note = self._note(taken) if row.rule.top is not None else None
        self._told(row, row.text.take(taken.token, note), events)
        if row.text.stopped:
            self._end(row, "stop", events)
        elif len(row.text.tokens) >= row.most:
            self._end(row, "length", events)

    def _note(self, taken: Taken) -> dict[str, object]:
        decode = self.language.decode_one
        return {
            "token": decode(taken.token),
            "logprob": taken.logprob,
            "top": [[decode(token), logprob] for token, logprob in taken.top],
        }

    def _told(self, row: Row, piece: tuple[str, list[Any]], events: Events) -> None:
        if any(piece):
            events.append((row.ticket, _line(*piece)))

    def _end(self, row: Row, why: str, events: Events) -> None:
        stopped = row.text.stopped
        self._told(row, row.text.end(), events)
        # The rest may complete a stop only now.
        why = "stop" if row.text.stopped and not stopped else why
        self._finish(row, why, len(row.text.tokens), events)

    def _finish(self, row: Row, why: str, count: int, events: Events) -> None:
        row.done, row.rule = True, OVER
        told = {
            "finish": why,
            "prompt_tokens": len(row.ticket.tokens),
            "completion_tokens": count,
            "p": row.p,
        }
        events.append((row.ticket, told))

    def _compact(self) -> None:
        """Rows that are over leave the batch."""
        kept = [place for place, row in enumerate(self.rows) if not row.done]
        if self.prefix is None or len(kept) == len(self.rows):
            return
        self.rows = [self.rows[place] for place in kept]
        self.prefix = keep_rows(self.prefix, kept) if kept else None
        if self.prefix and self.language.joins:
            self.prefix = trim(self.prefix)


def _matcher(language: Language, ticket: Ticket) -> Any:
    try:
        return language.matcher(ticket.asked.schema)
    except Failure as error:
        raise bad(error.message, error.hint) from error


def _weigh(rows: list[Row], scores: torch.Tensor) -> None:
    for row, chances in zip(rows, scores.softmax(-1).tolist(), strict=True):
        row.p = dict(zip(row.labels, chances, strict=True))


def _greedy(row: Row) -> bool:
    rule = row.rule
    return rule.temperature == 0 and rule.matcher is None and rule.top is None


def _line(text: str, tokens: list[Any]) -> dict[str, object]:
    return {"text": text, "tokens": tokens}
