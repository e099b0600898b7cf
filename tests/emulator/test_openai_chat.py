"""The emulator speaks as the API does: its answers are read by OpenAI's own client."""

import pytest
from openai import APIStatusError, OpenAI
from openai.types.chat import ChatCompletion

from tests.emulator.openai_chat import Fault, chat_server, completion


def test_answers_have_the_types_of_the_api() -> None:
    read = ChatCompletion.model_validate(completion("m", "MARK: 7", "a prompt"), strict=True)
    assert read.choices[0].message.content == "MARK: 7"


def test_openai_client_reads_it() -> None:
    with chat_server() as emulator:
        emulator.key = "sk-right"
        messages = [{"role": "user", "content": "hello"}]
        client = OpenAI(base_url=emulator.base_url, api_key="sk-right", max_retries=0)
        said = client.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
        assert said.choices[0].message.content == "MARK: 10"
        emulator.faults.append(Fault(429, "slow down", {"retry-after": "3"}))
        with pytest.raises(APIStatusError) as refused:
            client.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
        assert refused.value.status_code == 429
        assert refused.value.response.headers["retry-after"] == "3"
