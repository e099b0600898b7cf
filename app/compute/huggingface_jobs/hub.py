"""The Hub as one site: its address, pages of a list, and buckets. Used by the files beside."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import quote

import httpx

from app.compute._base import Order, Site
from app.compute._calls import opened
from app.compute._container import files_of, text_of
from app.config import settings
from app.errors import AlreadyThere, Busy, Gone
from app.service_http import Api

PUBLISHED = "https://huggingface.co"
MOST_PAGES = 50


def hub(site: Site) -> AbstractContextManager[Api]:
    """The Hub's API with the site's token. The address is TUNEBOOK_HF_ENDPOINT, else the published one."""
    base = endpoint()
    return opened("Hugging Face", base, site.secret, site.allow_private or base != PUBLISHED)


def endpoint() -> str:
    """The Hub's address."""
    return settings().hf_endpoint.rstrip("/") or PUBLISHED


def namespace(site: Site) -> str:
    """Who owns jobs and buckets."""
    return quote(text_of(site.fields, "namespace"), safe="")


def pages(api: Api, path: str, **params: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a list, over all its pages."""
    for _ in range(MOST_PAGES):
        answer = api.send("GET", path, params=params or None)
        found = api.decode(answer.content)
        if not isinstance(found, list):
            raise api.unclear("answered a list with something else")
        yield from (row for row in found if isinstance(row, Mapping))
        following = answer.links.get("next", {}).get("url", "")
        if not following:
            return
        path, params = following, {}


def make_bucket(api: Api, bucket: str) -> None:
    """A private bucket; that it is there already is fine, and that it is private is made sure of."""
    with suppress(AlreadyThere):
        api.post(f"api/buckets/{bucket}", json={"visibility": "private"})
        return
    if api.get(f"api/buckets/{bucket}").get("private") is not True:
        raise Busy(f"The bucket {bucket} is public, so the run's data do not go there.", "Make it private.")


def upload(api: Api, bucket: str, order: Order) -> None:
    """The bundle into a bucket, by the Hub's own library: it alone speaks the protocol of the contents.
    May be repeated; contents that are there already are not sent again."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        HfApi(endpoint=endpoint(), token=api.access.key).batch_bucket_files(
            bucket, add=[(str(path), name) for path, name in files_of(order)]
        )
    except HfHubHTTPError as error:
        answer = error.response
        raise api.failure(
            httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)
        ) from error
    except (httpx2.TransportError, OSError, RuntimeError) as error:
        raise Busy(f"The bundle did not reach the Hub: {api.safe(str(error))}.", wait=30.0) from error


def files_in(api: Api, bucket: str, folder: str) -> list[tuple[str, int]]:
    """(path, size in bytes) of the files below a folder of a bucket; [] where there is none."""
    try:
        found = list(pages(api, f"api/buckets/{bucket}/tree/{quote(folder, safe='')}", recursive="true"))
    except Gone:
        return []
    return [
        (str(row.get("path", "")), int(row.get("size") or 0)) for row in found if row.get("type") == "file"
    ]


def file_url(bucket: str, path: str) -> str:
    """Where the content of a file of a bucket is downloaded."""
    return f"buckets/{bucket}/resolve/{quote(path, safe='')}"


def delete_bucket(api: Api, bucket: str) -> None:
    """Removes a bucket with all that is in it; no error when it is gone."""
    with suppress(Gone):
        api.call("DELETE", f"api/buckets/{bucket}")
