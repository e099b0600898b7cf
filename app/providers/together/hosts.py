"""Together's addresses: /v1 (control), /v2 and /v3 beside it, and the host of inference. Used by this folder."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.service_http import Api
from app.service_json import mapping, rows, text

BASE_URL = "https://api.together.ai/v1"
INFERENCE_URL = "https://api-inference.together.ai/v1"
MOST_PAGES = 200


def beside(api: Api, path: str) -> str:
    """The whole address of a path such as "v2/projects", beside the base URL's /v1."""
    return f"{api.access.base_url.removesuffix('/v1')}/{path}"


def inference(api: Api) -> Api:
    """Where models answer: a host of its own, unless the base URL was changed."""
    if api.access.base_url != BASE_URL:
        return api
    return Api(replace(api.access, base_url=INFERENCE_URL), api.client)


def pages(api: Api, path: str, query: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
    """Every object of a list of version 2, page by page."""
    after: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        raw = api.get(beside(api, path), params={**(query or {}), **after})
        yield from listed(api, raw)
        cursor = text(mapping(raw), "next_cursor")
        if not cursor or after == {"after": cursor}:
            return
        after = {"after": cursor}


def listed(api: Api, raw: Any) -> list[Mapping[str, Any]]:
    """The objects of a list. Raises errors.Unclear for an answer without one: nothing must not look like none."""
    if not isinstance(mapping(raw).get("data"), list):
        raise api.unclear("sent no list")
    return rows(raw, "data")


def whoami(api: Api) -> Mapping[str, Any]:
    """Whose key this is: organization and project."""
    return mapping(api.get(beside(api, "v3/whoami")))
