"""One training as a worker does it, against an emulated service: files, create, polls, curves, answers.

Used by the tests of each provider, so that all of them are put through the same.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.providers import providers
from app.providers._base import Provider
from app.providers._http import Access, Api
from app.providers._shapes import ENDED, Decoding, Example, Offer, Point, Question, RemoteJob, TuningJob
from tests.emulator import emulator
from tests.emulator._server import services
from tests.emulator._world import World

KEY = "sk-canary-4711"
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty")
COLOURS = ("red", "green", "blue")


@dataclass
class Stage:
    """A provider with its emulated service."""

    provider: Provider
    api: Api
    world: World
    folder: Path
    fields: dict[str, str] = field(default_factory=dict)

    def job(self, offer: Offer | None = None, count: int = 24, **more: Any) -> TuningJob:
        """A training on `count` items, a quarter of them for validation, with the suggested values."""
        offer = offer or next(each for each in self.provider.offers if each.can_train)
        values = self.provider.training.suggest(offer, {"train_items": count, "mean_tokens": 20.0})
        counts = {"train": count, "validation": count // 4}
        tokens = {part: 20 * number for part, number in counts.items()}
        found = {"launch_key": "tb-0123456789abcdef", "name": "scenario", "method": "sft", "seed": 7}
        found |= {"hyperparameters": values, "counts": counts, "tokens": tokens, **more}
        return TuningJob(model=offer.model, offer=offer, **found)

    def upload(self, job: TuningJob) -> dict[str, str]:
        """The files' ids by part."""
        training, files = self.provider.training, {}
        for part, count in job.counts.items():
            path = self.folder / f"{part}.jsonl"
            lines = [json.dumps(training.render(example, job)) for example in examples(count)]
            path.write_bytes(training.file_start + "\n".join([*lines, ""]).encode())
            sent = training.upload(self.api, path, part, job)
            for _ in range(200):
                assert not sent.error
                if sent.ready:
                    break
                self.world.advance(1)
                sent = training.look_at_file(self.api, sent.id)
            assert sent.ready
            files[part] = sent.id
        return files

    def submit(self, job: TuningJob) -> RemoteJob:
        """Uploads, checks, creates, starts."""
        training, files = self.provider.training, self.upload(job)
        if training.check:
            training.check(self.api, job, files)
        made = training.submit(self.api, job, files)
        return training.start(self.api, made.id) if training.start else made

    def finish(self, id: str, look: Callable[[RemoteJob], None] = lambda job: None) -> RemoteJob:
        """Lets time pass until the job has ended; `look` sees it at every poll."""
        for _ in range(400):
            job = self.provider.training.poll(self.api, id)
            look(job)
            if job.phase in ENDED:
                return job
            self.world.advance(10 / self.world.speed)
        raise AssertionError(f"the job is still {job.state}")

    def points(self, job: RemoteJob) -> list[Point]:
        """Every point of its curves."""
        found, cursor = [], ""
        while True:
            page = self.provider.training.metrics(self.api, job, cursor)
            found += page.points
            if page.cursor == cursor or not page.points:
                return found
            cursor = page.cursor

    def lines(self, job: RemoteJob) -> list[str]:
        """Its whole log."""
        found, cursor = [], ""
        while True:
            page = self.provider.training.logs(self.api, job, cursor)
            found += page.lines
            if page.cursor == cursor or not page.lines:
                return found
            cursor = page.cursor


def examples(count: int) -> Iterator[Example]:
    """Items that a word of the prompt gives away."""
    for number in range(count):
        text = f"{WORDS[number % 10]} and {WORDS[(number * 7 + 3) % 10]} look like number {number}"
        messages = [{"role": "system", "content": "Name the colour."}, {"role": "user", "content": text}]
        yield Example(messages, {"role": "assistant", "content": COLOURS[number % 10 % 3]})


def questions(count: int) -> list[Question]:
    """The same prompts, to be answered."""
    return [Question(f"item-{number}", each.messages) for number, each in enumerate(examples(count))]


def ask(stage: Stage, model: str, count: int = 6, **decoding: Any) -> list[str]:
    """The answers to the first questions."""
    chat = stage.provider.chat
    return [
        chat.ask(stage.api, model, question, Decoding(max_tokens=20, **decoding)).text
        for question in questions(count)
    ]


@contextmanager
def on_stage(name: str, folder: Path, fields: dict[str, str] | None = None) -> Iterator[Stage]:
    """The provider of that name, connected to its emulated service."""
    provider, service = providers()[name], services()[name]
    with emulator() as world, httpx.Client() as client:
        access = Access(provider.label, world.url(name, service.base_path), KEY, fields or {})
        yield Stage(provider, provider.connect(access, client), world, folder, fields or {})
