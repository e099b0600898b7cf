"""Predictions by a chat endpoint with 200 ms latency: with a limit of 10 requests a second (burst 10), and with none.

`python -m tests.bench predictions` starts the endpoint and a Tunebook of its own. PREDICTION_ITEMS sets how many items
are asked under the limit (1,000: about 100 seconds).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import Figure, at_most

LATENCY, RATE, BURST, AT_ONCE = 0.2, 10.0, 10, 64
ITEMS = int(os.environ.get("PREDICTION_ITEMS", "1000"))
FREE_ITEMS = 1000
SLOWER, SLOWER_FREE = 1.15, 1.3


def figures() -> Iterator[Figure]:
    """Seconds of predicting, as parts of what the limit, or the latency, sets."""
    for name, rate, items, most in (
        ("predictions_limited", RATE, ITEMS, SLOWER),
        ("predictions_unlimited", 0.0, FREE_ITEMS, SLOWER_FREE),
    ):
        least = (items - BURST) / RATE if rate else LATENCY * items / AT_ONCE
        measured = _measured(rate, items)
        print(f"# {name}: {measured['seconds']:.2f} s for {items} items, {least:.2f} s at best")
        yield at_most(name, measured["seconds"] / least, "times", most)


def _measured(rate: float, items: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder, _endpoint(rate) as url:
        environment = {
            **os.environ,
            "TUNEBOOK_DATA": folder,
            "TUNEBOOK_DATABASE_URL": "",
            "TUNEBOOK_BROKER_URL": "",
            "TUNEBOOK_ALLOW_PRIVATE_BASE_URLS": "1",
        }
        command = [sys.executable, "-m", "tests.bench.predictions", url, str(items)]
        answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        found: dict[str, float] = json.loads(answer.stdout)
    return found


@contextmanager
def _endpoint(rate: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench._slow_chat", str(LATENCY), str(rate), str(BURST)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


def measure(url: str, items: int) -> dict[str, float]:
    """What the process of its own does: a run over so many items, from its first question to its files."""
    from app.migrate import migrate
    from app.runs import hosted_predict
    from app.tables import Run, RunState
    from workers.task import lease

    migrate()
    with lease(Run, _run(url, items), (RunState.QUEUED,)) as held:
        assert held is not None
        hosted_predict.queued(held.read(), held.write)
        hosted_predict.preparing(held.read(), held.write)
        began = time.perf_counter()
        while held.read().state == RunState.PREDICTING:
            hosted_predict.predicting(held.read(), held.write)
        seconds = time.perf_counter() - began
        assert held.read().state == RunState.SCORING, held.read().error
    return {"seconds": seconds}


def _run(url: str, items: int) -> int:
    """A queued run that asks the endpoint about so many test items."""
    from sqlmodel import select

    from app.datasets.check_file import check_dataset
    from app.datasets.service import upload_dataset
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.runs.ledger import open_ledger
    from app.settings.endpoints import NewEndpoint, add_endpoint
    from app.storage import incoming_file
    from app.tables import Experiment, Run, Split

    path = incoming_file("ab" * 16)
    path.write_bytes(b"".join(_row(number) for number in range(items + 10)))
    with session_scope() as session:
        actor = first_actor(session)
        made = upload_dataset(
            session, actor, path, file_name="chat.jsonl", sha256="ab" * 32, size=path.stat().st_size
        )
        add_endpoint(session, actor, NewEndpoint("bench", url, "bench"))
    check_dataset(made, session_scope)
    with session_scope() as session:
        split = session.exec(select(Split).where(Split.dataset_id == made.id)).one()
        owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
        place = {"dataset_id": made.id or 0, "split_id": split.id or 0}
        experiment = Experiment(**owner, **place, name="bench", launch_key="bench")
        session.add(experiment)
        session.flush()
        values = {"examples": 0, "selection": "random", "temperature": 0.0, "max_tokens": 4}
        run = Run(
            **owner,
            **place,
            experiment_id=experiment.id or 0,
            model="prompt/endpoint/bench",
            seed=1,
            launch_key="tb-0123456789abcdef",
            ledger=open_ledger(values, values, {}),
        )
        session.add(run)
        session.flush()
        return run.id or 0


def _row(number: int) -> bytes:
    messages = [
        {"role": "user", "content": f"How much is extracted from {number % 977} mM nitrate? Vial {number}."},
        {"role": "assistant", "content": ["VL", "L", "U", "M", "H"][number * 7919 % 5]},
    ]
    return json.dumps({"messages": messages, "split": "TRAIN" if number < 10 else "TEST"}).encode() + b"\n"


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
