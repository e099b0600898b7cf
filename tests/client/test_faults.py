"""The client over a connection that fails: reads come back, a launch is one launch, nothing else is sent twice."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tunebook import (
    Client,
    DatasetRefused,
    Invalid,
    NotFound,
    NoToken,
    SignInNeeded,
    TooDear,
    TooMany,
    Unconfirmed,
    Unreachable,
    WaitedTooLong,
)

from tests.client.conftest import Live

POST_LAUNCH = "POST /api/v1/experiments"


class Failing(httpx.BaseTransport):
    """A connection with faults in order: "lost" after the server has done it, "down" before, or a status."""

    def __init__(self, *faults: Any) -> None:
        self.faults, self.inner = list(faults), httpx.HTTPTransport()
        self.sent: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else None
        self.sent.append(f"{request.method} {request.url.path}")
        if fault == "down":
            raise httpx.ConnectError("connection refused")
        if isinstance(fault, int):
            return httpx.Response(
                fault, headers={"retry-after": "3"}, json={"detail": "Busy.", "hint": "Wait."}
            )
        answer = self.inner.handle_request(request)
        if fault == "lost":
            answer.read()
            raise httpx.ReadError("connection reset")
        return answer


@pytest.fixture
def failing(live: Live) -> Callable[..., tuple[Client, Failing, list[float]]]:
    """failing("lost", 503) gives a client, its connection and the pauses that it took."""

    def make(*faults: Any) -> tuple[Client, Failing, list[float]]:
        transport, pauses = Failing(*faults), []
        client = Client(transport=transport)
        client.wire.pause = pauses.append
        return client, transport, pauses

    return make


@pytest.mark.laptop
def test_reads_are_repeated_with_growing_pauses(failing: Any) -> None:
    client, transport, pauses = failing("down", "lost", 502, 503)
    assert len(client.models()) > 3
    assert transport.sent == ["GET /api/v1/models"] * 5
    assert pauses[0] < pauses[1]
    assert pauses[2] >= 3, "what the server asked for"
    client, transport, pauses = failing(*["down"] * 6)
    with pytest.raises(Unreachable, match="No Tunebook answers at http://127"):
        client.models()
    assert len(pauses) == 5
    # A plan is a question too, although it is a POST.
    client, transport, _ = failing("lost")
    with pytest.raises(NotFound):
        client.plan(99, "baseline/majority")
    assert transport.sent == [POST_LAUNCH] * 2


def test_a_launch_whose_answer_is_lost_is_one_launch(lab: Client, failing: Any) -> None:
    dataset = lab.upload([row(number) for number in range(12)], "few")
    client, transport, _ = failing("lost", "lost", 502)
    experiment = client.launch(dataset, "baseline/majority")
    assert transport.sent == [POST_LAUNCH] * 4
    assert [each["id"] for each in lab.experiments()] == [experiment.id]

    # Sent at the same moment from several notebooks it is one, too.
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                Client().launch(dataset, "baseline/majority", launch_key="the-same-key").id
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.laptop
def test_other_changes_are_sent_once(lab: Client, failing: Any) -> None:
    client, transport, pauses = failing("lost")
    with pytest.raises(Unconfirmed, match="may have been done"):
        client.upload([row(1), row(2)], "few")
    assert transport.sent == ["POST /api/v1/datasets"]
    assert not pauses
    client, transport, _ = failing("lost")
    with pytest.raises(Unconfirmed):
        client.ask("baseline/majority", "What is it?")
    assert len(transport.sent) == 1
    client, transport, _ = failing(*["lost"] * 6)
    with pytest.raises(Unconfirmed) as told:
        client.launch(1, "baseline/majority", launch_key="told-to-the-caller")
    assert told.value.launch_key == "told-to-the-caller"


@pytest.mark.laptop
def test_refusals_are_told_in_the_servers_words(lab: Client, failing: Any, monkeypatch: Any) -> None:
    with pytest.raises(NotFound, match="There is no run 7 here") as missing:
        lab.run(7)
    assert missing.value.status == 404
    with pytest.raises(DatasetRefused, match="line 1: ") as refused:
        lab.upload([{"messages": 5}])
    assert refused.value.dataset.problem_count == 1
    client, transport, _ = failing(429)
    with pytest.raises(TooMany, match=r"Busy\. Wait\."):
        client.launch(1, "baseline/majority")
    assert len(transport.sent) == 1
    with pytest.raises(SignInNeeded):
        Client(token="tb_unknown").models()
    for address in ("ftp://x", "http://", "http://user:word@x", "nonsense"):
        with pytest.raises(Invalid, match="no address of a Tunebook"):
            Client(address)
    monkeypatch.delenv("TUNEBOOK_TOKEN")
    with pytest.raises(NoToken, match="There is no token for http"):
        Client()
    assert lab.wire.http.headers["authorization"].split()[1] not in repr(lab)


@pytest.mark.laptop
def test_a_price_is_asked_before_it_is_paid(lab: Client) -> None:
    dataset = lab.upload([row(number) for number in range(12)], "few")
    plan = lab.plan(dataset, "baseline/majority", launch_key="planned-once")
    assert (plan.runs, plan.cost_usd, len(lab.experiments())) == (1, 0.0, 0)
    with pytest.raises(TooDear, match="nothing was launched"):
        lab.launch(dataset, "baseline/majority", at_most_usd=-0.01)
    assert len(lab.experiments()) == 0
    made = plan.launch()
    assert plan.launch().id == made.id == lab.launch(dataset, "x", launch_key="planned-once").id
    with pytest.raises(WaitedTooLong, match="goes on at the server"):
        made.wait(timeout=-1)
    assert made.wait().state == "done"


def row(number: int) -> dict[str, Any]:
    """A chat row of two classes."""
    answer = "acid" if number % 2 else "base"
    return {
        "messages": [
            {"role": "user", "content": f"Flask {number} holds {answer}"},
            {"role": "assistant", "content": answer},
        ],
        "split": "TEST" if number > 8 else "TRAIN",
    }
