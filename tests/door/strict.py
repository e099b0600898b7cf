"""OpenAI's own client on the application in this process, and its typed models held against every answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
from fastapi.testclient import TestClient
from openai import AsyncOpenAI, BaseModel

from tests.fresh import application


def strictly(answer: Any) -> Any:
    """The answer, after its type has read it anew: no field missing, none of another type, none unknown."""
    type(answer).model_validate(answer.model_dump(exclude_unset=True, by_alias=True), strict=False)
    _no_more(answer, type(answer).__name__)
    for each in getattr(answer, "data", None) or []:
        if isinstance(each, BaseModel):
            strictly(each)
    return answer


def _no_more(value: Any, where: str) -> None:
    if isinstance(value, list):
        for each in value:
            _no_more(each, where)
    if isinstance(value, BaseModel):
        # OpenAI's description of lists has these, its client's pages do not.
        more = set(value.model_extra or {}) - {"first_id", "last_id", "object"}
        assert not more, f"{where} has {more}"
        for name in type(value).model_fields:
            _no_more(getattr(value, name), f"{where}.{name}")


def by_openai(client: TestClient, use: Callable[[AsyncOpenAI], Coroutine[Any, Any, Any]]) -> Any:
    """What `use` gives, called with OpenAI's client; it asks the application with the test client's token."""
    token = client.headers["authorization"].removeprefix("Bearer ")

    async def main() -> Any:
        transport = httpx2.ASGITransport(app=application(), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport) as http:
            openai = AsyncOpenAI(
                api_key=token, base_url="http://localhost/v1", http_client=http, max_retries=0
            )
            return await use(openai)

    return asyncio.run(main())
