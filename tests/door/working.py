"""What tests of the door share: no broker, and the worker's tasks taken one after another."""

from collections.abc import Callable

import pytest

from app.queue import CHECK_DATASET, LAUNCH_JOB


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every message that would have gone to a worker, in order."""
    messages: list[tuple[str, int]] = []
    monkeypatch.setattr("app.queue.send", lambda task, row_id: messages.append((task, row_id)))
    return messages


@pytest.fixture
def work(sent: list[tuple[str, int]]) -> Callable[[], None]:
    """Does what was sent of datasets and tuning jobs, until nothing is left to do; runs stay queued."""
    from workers.datasets import check
    from workers.door import launch_job

    tasks = {CHECK_DATASET: check, LAUNCH_JOB: launch_job}

    def all_of_it() -> None:
        done = 0
        while done < len(sent):
            task, row_id = sent[done]
            done += 1
            if task in tasks:
                tasks[task](row_id)
        for row_id in dict.fromkeys(row_id for task, row_id in sent if task == LAUNCH_JOB):
            launch_job(row_id)
            launch_job(row_id)
        sent.clear()

    return all_of_it
