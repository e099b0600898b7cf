"""JarvisLabs' API: regions and their hosts, prices, the wallet, machines, SSH keys. Used by the files beside."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.compute._base import Checked, Site
from app.compute._calls import opened
from app.errors import Busy, Gone, KeyRefused, OutOfCredit, Refused
from app.service_http import Api
from app.service_json import number, rows, text, whole

LABEL = "JarvisLabs"
# In the order in which they are tried. A machine's life is managed at its region's own host.
REGIONS = ("india-noida-01", "india-chennai-01", "europe-01")
HOSTS = {
    "india-noida-01": "https://backendn.jarvislabs.net",
    "india-chennai-01": "https://backendc.jarvislabs.net",
    "europe-01": "https://backendeu.jarvislabs.net",
}
# How long a run waits before it asks again for a GPU that is not free.
STOCK_SECONDS = 300.0


@contextmanager
def connected(site: Site, region: str = "") -> Iterator[Api]:
    """The API at a region's host. An empty wallet comes as 403 with a sentence about the balance."""
    with opened(LABEL, HOSTS.get(region) or HOSTS[REGIONS[0]], site.secret, site.allow_private) as api:
        try:
            yield api
        except KeyRefused as error:
            if error.code == 403 and "balance" in error.message.lower():
                raise OutOfCredit(error.message, "Put money into the wallet at JarvisLabs.") from error
            raise


def check(site: Site) -> Checked:
    """The wallet, and what the GPU costs where it may be rented."""
    with connected(site) as api:
        balance, stock = api.get("users/balance"), _stock(api)
        dollars = pays_dollars(api)
    offers = _offers(site, stock)
    if not offers:
        names = ", ".join(sorted({text(row, "gpu_type") for row in stock}))
        raise Refused(f"JarvisLabs has no GPU {_gpu(site)!r} there.", f"Choose one of {names}.")
    count = sum(_free(row) for row in offers)
    price = number(offers[0], "price_per_hour")
    money = (number(balance, "balance") or 0) + (number(balance, "grants") or 0)
    memory = number(offers[0], "vram")
    gpu = {"name": _gpu(site)} | ({"memory_bytes": int(memory * 2**30)} if memory else {})
    facts: dict[str, Any] = {"gpus": [gpu]}
    sign = "$" if dollars else "₹"
    if dollars:
        facts |= {
            "balance_microdollars": _micro(money),
            "hourly_microdollars": None if price is None else _micro(price),
            "prices": [
                {
                    "name": f"{text(row, 'gpu_type')} {text(row, 'region')}",
                    "hourly_microdollars": _micro(each),
                }
                for row in stock
                if (each := number(row, "price_per_hour")) is not None
            ],
        }
    cost = f"{sign}{price:.2f} an hour each" if price is not None else "price not told"
    return Checked(f"{_gpu(site)}: {count} free, {cost}; {sign}{money:.2f} in the wallet", facts)


def pays_dollars(api: Api) -> bool:
    """Whether the account's prices and costs are in dollars; those of Indian accounts are in rupees."""
    answer = api.get("misc/")
    flag = answer.get("success", answer.get("sucess")) if isinstance(answer, Mapping) else None
    return str(flag).lower() != "true"


def _micro(money: float) -> int:
    return round(money * 1_000_000)


def _gpu(site: Site) -> str:
    return str(site.fields.get("gpu", "")).strip()


def _stock(api: Api) -> list[Mapping[str, Any]]:
    return [row for row in rows(api.get("misc/server_meta"), "server_meta") if text(row, "region") in HOSTS]


def _offers(site: Site, stock: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    wanted = str(site.fields.get("region", "")).strip()
    kind = "vm" if site.fields.get("template") == "vm" else "container"
    found = [
        row
        for row in stock
        if text(row, "gpu_type") == _gpu(site)
        and wanted in ("", text(row, "region"))
        and text(row, "workload_type") in ("", kind)
    ]
    return sorted(found, key=lambda row: REGIONS.index(text(row, "region")))


def _free(row: Mapping[str, Any]) -> int:
    return whole(row, "effective_num_free_devices") or whole(row, "num_free_devices") or 0


def region_with(site: Site, api: Api, gpus: int) -> str:
    """The first region that has so many of the site's GPUs free. Raises Busy where none has."""
    offers = _offers(site, _stock(api))
    if not offers:
        raise Refused(f"JarvisLabs has no GPU {_gpu(site)!r} there.", "Check this place again.")
    for row in offers:
        if _free(row) >= gpus:
            return text(row, "region")
    raise Busy(
        f"JarvisLabs has no {gpus} × {_gpu(site)} free now.", "Tunebook asks again.", wait=STOCK_SECONDS
    )


def register_key(api: Api, public: str) -> None:
    """Makes the account's machines take this key; once."""
    found = api.get("ssh/")
    known = [text(row, "ssh_key").split()[:2] for row in found if isinstance(row, Mapping)]
    if public.split()[:2] not in known:
        succeeded(api.post("ssh/", json={"ssh_key": public, "key_name": "tunebook"}), "to take an SSH key")


def succeeded(answer: Any, doing: str) -> None:
    """Some answers say with 200 that nothing was done. Raises Refused for those; the flag may be spelled wrongly."""
    flag = answer.get("success", answer.get("sucess")) if isinstance(answer, Mapping) else None
    if str(flag).lower() == "false":
        said = text(answer, "message") or text(answer, "error") or text(answer, "detail") or "no reason given"
        raise Refused(f"JarvisLabs refuses {doing}: {said}.")


def machines(api: Api) -> list[Mapping[str, Any]]:
    """All machines of the account."""
    answer = api.get("users/fetch")
    if not isinstance(answer, Mapping) or "instances" not in answer:
        raise api.unclear("did not say what machines there are")
    return rows(answer, "instances")


def machine(api: Api, id: int) -> Mapping[str, Any] | None:
    """One machine; None where it is not there any more."""
    try:
        answer = api.get(f"users/fetch/{id}")
    except Gone:
        return None
    found = answer.get("instance") if isinstance(answer, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    if whole(found, "machine_id") != id:
        raise api.unclear("answered about another machine")
    return found
