"""One question to an endpoint, and every way it can fail."""

from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clock import in_seconds
from app.outside import outside_client
from app.settings import chat
from app.settings.chat import ChatError, Target, Trouble, ask, retry_after
from tests.emulator.openai_chat import Emulator, Fault, chat_server
from tests.fresh import forget_settings

QUESTION = [{"role": "user", "content": "How many?"}]
KEY = "sk-very-secret"


@pytest.fixture
def emulator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    forget_settings()
    with chat_server() as running:
        running.key = KEY
        yield running


def put(emulator: Emulator, key: str = KEY, timeout: float = 5, **decoding: Any) -> chat.Reply:
    with outside_client(timeout) as client:
        return ask(client, Target(emulator.base_url, "judge", key), QUESTION, decoding)


def trouble(emulator: Emulator, fault: Fault, **more: Any) -> ChatError:
    emulator.faults.append(fault)
    with pytest.raises(ChatError) as error:
        put(emulator, **more)
    return error.value


@pytest.mark.laptop
def test_answer_with_its_tokens(emulator: Emulator) -> None:
    reply = put(emulator, temperature=0, max_tokens=9)
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("MARK: 10", 2, 2)
    assert reply.latency_ms > 0
    call = emulator.calls[0]
    assert (call["path"], call["model"], call["temperature"]) == ("/v1/chat/completions", "judge", 0)


@pytest.mark.laptop
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(500), Trouble.AGAIN),
        (Fault(502), Trouble.AGAIN),
        (Fault(503), Trouble.AGAIN),
        (Fault(503, headers={"retry-after": "2"}), Trouble.BUSY),
        (Fault(429), Trouble.BUSY),
        (Fault(429, "You exceeded your current quota"), Trouble.ALL),
        (Fault(400, "too long"), Trouble.ITEM),
        (Fault(403), Trouble.ALL),
        (Fault(404, "no such model"), Trouble.ALL),
        (Fault(302, headers={"location": "http://169.254.169.254/"}), Trouble.ALL),
        (Fault("garbage"), Trouble.AGAIN),
        (Fault("cut"), Trouble.AGAIN),
        (Fault("drop"), Trouble.AGAIN),
        (Fault("html"), Trouble.AGAIN),
    ],
)
def test_faults_are_told_apart(emulator: Emulator, fault: Fault, expected: Trouble) -> None:
    assert trouble(emulator, fault).trouble == expected
    assert len(emulator.calls) == 1


@pytest.mark.laptop
def test_no_answer_in_time(emulator: Emulator) -> None:
    assert trouble(emulator, Fault("hang", seconds=1), timeout=0.2).trouble == Trouble.AGAIN


@pytest.mark.laptop
def test_key_is_nowhere_in_an_error(emulator: Emulator) -> None:
    with pytest.raises(ChatError) as error:
        put(emulator, key="sk-wrong-but-secret")
    assert error.value.trouble == Trouble.ALL
    assert "[key]" in error.value.message
    assert "sk-wrong" not in error.value.message
    assert "sk-wrong" not in repr(Target("http://x", "m", "sk-wrong"))


@pytest.mark.laptop
def test_parameters_that_newer_models_refuse_are_spelled_anew(emulator: Emulator) -> None:
    emulator.faults.append(
        Fault(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens', no temperature.")
    )
    assert put(emulator, temperature=0, max_tokens=9).text == "MARK: 10"
    assert emulator.calls[1]["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & emulator.calls[1].keys()


@pytest.mark.laptop
def test_endless_answers_are_cut_off(emulator: Emulator) -> None:
    emulator.answer = lambda prompt: "x" * (chat.LARGEST_ANSWER + 1)
    with pytest.raises(ChatError, match="larger than 1 MB"):
        put(emulator)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b"\xff",
        b'{"choices": 3}',
    ],
)
def test_what_is_no_completion(body: bytes) -> None:
    def send(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})

    with httpx.Client(transport=httpx.MockTransport(send)) as client, pytest.raises(ChatError) as error:
        ask(client, Target("http://x/v1", "m"), QUESTION, {})
    assert error.value.trouble == Trouble.AGAIN


def test_waits_are_numbers_or_dates() -> None:
    assert retry_after("3") == 3
    assert retry_after(" 0.5 ") == 0.5
    assert retry_after("-4") == 0
    assert 50 < (retry_after(format_datetime(in_seconds(60), usegmt=True)) or 0) <= 60
    for nothing in ("", "soon", "nan", "inf"):
        assert retry_after(nothing) is None
