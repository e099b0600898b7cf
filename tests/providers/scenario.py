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

from app import errors
from app.providers import providers
from app.providers._base import Provider
from app.providers._shapes import (
    ENDED,
    Decoding,
    Deployment,
    Example,
    Offer,
    Phase,
    Point,
    Question,
    RemoteBatch,
    RemoteJob,
    TuningJob,
)
from app.service_http import Access, Api
from tests.emulator import emulator
from tests.emulator._server import service
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
        offer = offer or next(each for each in self.offers() if each.can_train)
        training, method = self.provider.training, more.get("method", "sft")
        values = training.suggest(offer, {"train_items": count, "mean_tokens": 20.0})
        values = {
            shape.name: method if shape.name == "objective" else values[shape.name]
            for shape in training.hyperparameters(offer)
            if shape.only in ("", method)
        }
        counts = {"train": count, "validation": count // 4}
        tokens = {part: 20 * number for part, number in counts.items()}
        found = {"launch_key": "tb-0123456789abcdef", "name": "scenario", "method": "sft", "seed": 7}
        found |= {"hyperparameters": values, "counts": counts, "tokens": tokens, **more}
        return TuningJob(model=offer.model, offer=offer, **found)

    def offers(self) -> list[Offer]:
        """What the file names, or, where it names nothing, what the service lists."""
        return list(self.provider.offers) or self.provider.list_models(self.api)

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
        return self.start(made.id) if training.start else made

    def start(self, id: str) -> RemoteJob:
        """The second of two calls, as soon as the service can be asked for it."""
        for _ in range(60):
            try:
                return self.provider.training.start(self.api, id)
            except errors.Busy:
                self.world.advance(1)
        raise AssertionError("the job cannot be started")

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
        right, wrong = COLOURS[number % 10 % 3], COLOURS[(number % 10 + 1) % 3]
        reply, rejected = ({"role": "assistant", "content": colour} for colour in (right, wrong))
        yield Example(messages, reply, rejected=rejected)


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
    provider, emulated = providers()[name], service(name)
    with emulator() as world, httpx.Client() as client:
        access = Access(provider.label, world.url(name, emulated.base_path), KEY, fields or {})
        yield Stage(provider, provider.connect(access, client), world, folder, fields or {})


def exercise(stage: Stage) -> None:
    """Every call that the provider can send, once, on their good ways."""
    provider, api = stage.provider, stage.api
    provider.check_key(api)
    offers = provider.list_models(api)
    if provider.look_at_model and offers:
        provider.look_at_model(api, offers[0])
    tuned = _exercise_training(stage) if provider.training else None
    model = tuned.model if tuned else (provider.offers or tuple(offers))[0].model
    deployment = _deployed(stage, tuned) if provider.deploy and tuned else None
    if deployment:
        model = deployment.model
    service(provider.name).by_hand(stage.world, model)
    if provider.chat:
        ask(stage, model, 1)
        ask(stage, model, 1, seed=1, top_logprobs=provider.chat.top_logprobs)
    if provider.batch:
        _exercise_batch(stage, tuned.model if tuned and provider.batch.for_tuned else model)
    if deployment:
        provider.deploy.stop(api, deployment)


def _exercise_training(stage: Stage) -> RemoteJob:
    training, api = stage.provider.training, stage.api
    job = stage.job()
    files = stage.upload(job)
    for step in (training.quote, training.check):
        if step:
            step(api, job, files)
    made = training.submit(api, job, files)
    if training.start:
        stage.start(made.id)
    found = [each.id for each in training.find(api, job.launch_key)]
    assert found == ([made.id] if training.lists_jobs else [])
    assert (made.id in [each.id for each in training.list_jobs(api)]) == training.lists_jobs
    done = stage.finish(made.id)
    assert done.phase == Phase.DONE, done.message
    assert [each.model for each in training.find(api, job.launch_key)] == [done.model]
    for read in (training.logs, training.metrics):
        if read:
            read(api, done, "")
    for fetch in (training.fetch_records, training.fetch_weights):
        if fetch:
            fetch(api, done, stage.folder / "fetched")
    if training.list_tuned:
        training.list_tuned(api)
    if training.cancel:
        other = stage.submit(stage.job(launch_key="tb-fedcba9876543210"))
        training.cancel(api, other.id)
    if "dpo" in training.methods:
        preferring = stage.job(method="dpo", launch_key="tb-00000000000000d0")
        made = stage.submit(preferring)
        if training.quote:
            training.quote(api, preferring, stage.upload(preferring))
        training.poll(api, made.id)
    return done


def _deployed(stage: Stage, tuned: RemoteJob) -> Deployment:
    deploy, api = stage.provider.deploy, stage.api
    made = deploy.create(api, tuned, "tb-deployment-1")
    for _ in range(200):
        made = deploy.advance(api, made) if deploy.advance else made
        if made.phase == Phase.RUNNING:
            break
        stage.world.advance(10 / stage.world.speed)
        made = deploy.poll(api, made.id)
    assert made.phase == Phase.RUNNING, made.message
    deploy.find(api, "tb-deployment-1")
    deploy.list_running(api)
    return made


def submit_batch(stage: Stage, path: Path, model: str, decoding: Decoding, launch_key: str) -> RemoteBatch:
    """As a worker does it: again, while the service still reads the questions."""
    for _ in range(20):
        try:
            return stage.provider.batch.submit(stage.api, path, model, decoding, launch_key)
        except errors.Busy as busy:
            stage.world.advance(busy.wait)
    raise AssertionError("the questions were never read")


def _exercise_batch(stage: Stage, model: str) -> None:
    batch, api, decoding = stage.provider.batch, stage.api, Decoding(max_tokens=20)
    path, folder = stage.folder / "questions.jsonl", stage.folder / "batch"
    folder.mkdir()
    lines = [json.dumps(batch.line(model, question, decoding)) for question in questions(4)]
    path.write_text("\n".join([*lines, ""]))
    made = submit_batch(stage, path, model, decoding, "tb-batch-1")
    batch.find(api, "tb-batch-1")
    for _ in range(200):
        if batch.poll(api, made.id).phase in ENDED:
            break
        stage.world.advance(10 / stage.world.speed)
    done = batch.poll(api, made.id)
    assert len(list(batch.read(api, done, folder))) == 4
    if batch.cancel:
        other = batch.submit(api, path, model, decoding, "tb-batch-2")
        batch.cancel(api, other.id)
