"""The provider OpenAI of Tunebook, call by call, against the door of Tunebook."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session

from app.lab.actor import Actor
from app.providers._shapes import Offer, Phase, TuningJob
from app.providers.openai import PROVIDER
from app.service_http import Access
from tests.door.conftest import make_bearer, served
from tests.door.test_tuning import chats

pytestmark = pytest.mark.laptop
KEY = "tb-0123456789abcdef"


def wanted() -> TuningJob:
    """What a run would ask for."""
    sent = {"epochs": 2, "batch_size": 8, "learning_rate_multiplier": 0.5}
    counts = {"train": 60, "validation": 9, "test": 0}
    model = "starter/tiny"
    return TuningJob(KEY, "a run", model, "sft", sent, 5, counts, {}, Offer(model, can_train=True))


def test_a_job_is_made_found_followed_and_cancelled(
    session: Session, actor: Actor, work: Any, tmp_path: Path
) -> None:
    training: Any = PROVIDER.training
    bearer = make_bearer(session, actor)
    files = {}
    with served() as address, httpx.Client() as client:
        api = PROVIDER.connect(Access("OpenAI", f"{address}/v1", bearer), client)
        assert PROVIDER.check_key(api)
        job = wanted()
        assert training.problems(job) == []
        for part, rows in (("train", chats(60)), ("validation", chats(9, start=100))):
            (tmp_path / f"{part}.jsonl").write_bytes(rows)
            found = training.upload(api, tmp_path / f"{part}.jsonl", part, job)
            assert training.look_at_file(api, found.id).ready
            files[part] = found.id
        training.check(api, job, files)
        assert training.find(api, KEY) == []
        made = training.submit(api, job, files)
        assert (made.phase, made.launch_key) == (Phase.WAITING, KEY)
        assert [each.id for each in training.find(api, KEY)] == [made.id]
        assert training.find(api, "tb-another0000000") == []
        assert [each.id for each in training.list_jobs(api)] == [made.id]
        work()
        there = training.poll(api, made.id)
        assert there.resolved["epochs"] == 2
        assert there.resolved["seed"] == 5
        page = training.logs(api, there, "")
        assert any("54 train, 9 validation, 6 test items" in line for line in page.lines)
        assert training.logs(api, there, page.cursor).lines == []
        training.cancel(api, made.id)
        assert PROVIDER.batch is not None
        assert PROVIDER.batch.find(api, KEY) == []
