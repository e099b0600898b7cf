"""HTTP to addresses that a person typed: only where they may lead, checked when the connection is made.

The name is resolved here, the addresses are judged, and the connection goes to one of them, so that a name that
changes its address between check and use gains nothing. No redirects, no proxies.
"""

import ipaddress
import socket
import ssl
import threading
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from app.config import settings
from app.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
ALLOW = "TUNEBOOK_ALLOW_PRIVATE_BASE_URLS=1"


class Refused(httpx.TransportError):
    """The address is none that Tunebook connects to; the message says why."""


def clean_base_url(text: str, allow_private: bool = False) -> str:
    """A base URL without its last slash. Raises Invalid for anything but http(s)://host[:port][/path], and for
    an address of numbers that may not be reached."""
    text = text.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        port = parts.port
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        raise _invalid("it cannot be read as an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _invalid("it begins with http:// or https:// and a host name")
    if parts.username or parts.password or "@" in parts.netloc:
        raise _invalid("it holds no user name or password; the key has its own field")
    if (
        parts.query
        or parts.fragment
        or port == 0
        or not text.isascii()
        or not text.isprintable()
        or " " in text
    ):
        raise _invalid("it is scheme, host, port and path only")
    try:
        check_address(ipaddress.ip_address(parts.hostname), allow_private)
    except Refused as refused:
        raise _invalid(str(refused)) from None
    except ValueError:
        pass  # a name: its addresses are looked at when a connection is made
    return text


def _invalid(why: str) -> Invalid:
    return Invalid(
        f"This base URL cannot be used: {why}.",
        "Write for example https://api.example.org/v1.",
        {"base_url": f"Not usable: {why}."},
    )


def check_address(address: Address, allow_private: bool = False) -> None:
    """Raises Refused for an address that is not public; loopback and private ones may be allowed, by the setting or
    by the caller."""
    for each in _inside(address) or [address]:
        if each.is_global and not each.is_multicast:
            continue
        private = each.is_loopback or each.is_private
        never = each.is_link_local or each.is_multicast or each.is_unspecified or each.is_reserved
        if never and not each.is_loopback:
            raise Refused(f"{address} is not an address that a model can answer at")
        if not (private and (allow_private or settings().allow_private_base_urls)):
            raise Refused(f"{address} is not a public address (start Tunebook with {ALLOW} to allow it)")


def _inside(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address carries: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    carried: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    carried += address.teredo or ()
    if address in NAT64:
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in carried if each is not None]


class GuardedTransport(httpx.BaseTransport):
    """Connects to a resolved and checked address, while name and certificate stay those of the URL.
    `private_host` may lie at a private address, no other host may.

    Each thread has connections of its own: one pool for all spends more time on looking through them than on calls.
    """

    def __init__(self, private_host: str = "") -> None:
        self.private_host = private_host
        self.own = threading.local()
        self.opened: list[httpx.HTTPTransport] = []

    def _inner(self) -> httpx.HTTPTransport:
        if not hasattr(self.own, "inner"):
            self.own.inner = httpx.HTTPTransport(verify=_certificates(), retries=0)
            self.opened.append(self.own.inner)
        inner: httpx.HTTPTransport = self.own.inner
        return inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused, or httpx.ConnectError when the name is not known."""
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        address = resolve(host, port, host == self.private_host)
        extensions = {**request.extensions, "sni_hostname": host}
        sent = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        return self._inner().handle_request(sent)

    def close(self) -> None:
        """Closes all connections."""
        for inner in self.opened:
            inner.close()


@lru_cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, read once: reading it takes longer than most calls."""
    return httpx.create_ssl_context(trust_env=False)


def resolve(host: str, port: int, allow_private: bool = False) -> str:
    """One address of the host. Every address that its name has must be allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"the name {host} is not known") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        check_address(ipaddress.ip_address(address), allow_private)
    return addresses[0]


class OutsideClient(httpx.Client):
    """A client that goes by these rules, which other kinds of connections read from it (websockets)."""

    private_host = ""


def outside_client(timeout_seconds: float, private_host: str = "") -> httpx.Client:
    """A client for such addresses; shared by threads, closed by the caller. `private_host`: the one host that may
    lie at a private address although the setting allows none."""
    timeout = httpx.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds))
    client = OutsideClient(
        transport=GuardedTransport(private_host), timeout=timeout, follow_redirects=False, trust_env=False
    )
    client.private_host = private_host
    return client
