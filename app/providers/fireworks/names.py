"""Fireworks' addresses: resources below the account, inference beside them, lists page by page. Used by this folder."""

from collections.abc import Iterator, Mapping
from typing import Any

from app import errors
from app.service_http import Api
from app.service_json import mapping, number, rows, text

BASE_URL = "https://api.fireworks.ai"
# Models of the service itself belong to this account.
LIBRARY = "accounts/fireworks"
PAGE, MOST_PAGES = 200, 200


def account(api: Api) -> str:
    """The account's own resource name."""
    return f"accounts/{short(api.access.fields['account_id'])}"


def address(name: str) -> str:
    """Where a resource or a collection lies, by its full name."""
    return f"v1/{name}"


def short(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]


def pages(api: Api, collection: str, field: str) -> Iterator[Mapping[str, Any]]:
    """Every object of a collection that has a name; `field` is the list's name in the answer."""
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        raw = api.get(address(collection), params={"pageSize": str(PAGE), **token})
        yield from (each for each in rows(raw, field) if text(each, "name"))
        following = text(mapping(raw), "nextPageToken")
        if not following or token == {"pageToken": following}:
            return
        token = {"pageToken": following}


def microdollars(money: Mapping[str, Any]) -> int | None:
    """{units, nanos} in US dollars; None for none, another currency, or no sensible amount."""
    dollars = (number(money, "units") or 0) + (number(money, "nanos") or 0) / 1e9
    if not money or text(money, "currencyCode") not in ("", "USD") or not 0 <= dollars <= 1e9:
        return None
    return round(dollars * 1e6)


def signed(api: Api, url: str) -> bytes:
    """What lies at a signed address; b"" where nothing is there yet, or the address has run out."""
    try:
        return api.send("GET", url).content if url else b""
    except (errors.Gone, errors.KeyRefused):
        return b""
