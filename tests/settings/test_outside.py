"""Where addresses that a person typed may lead."""

import ipaddress
import socket
from pathlib import Path

import httpx
import pytest

from app.errors import Invalid
from app.outside import Refused, check_address, clean_base_url, outside_client
from tests.emulator.openai_chat import chat_server
from tests.fresh import forget_settings

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.9",
    "172.16.0.1",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
]
NEVER = [
    "169.254.169.254",
    "fe80::1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::1",
]


@pytest.fixture
def private_allowed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    forget_settings()


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_only_public_addresses_by_default(address: str) -> None:
    with pytest.raises(Refused):
        check_address(ipaddress.ip_address(address))


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_pass(address: str) -> None:
    check_address(ipaddress.ip_address(address))


@pytest.mark.laptop
@pytest.mark.usefixtures("private_allowed")
def test_setting_allows_private_but_never_link_local() -> None:
    for address in PRIVATE:
        check_address(ipaddress.ip_address(address))
    for address in NEVER:
        with pytest.raises(Refused):
            check_address(ipaddress.ip_address(address))


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "api.example.org",
            "ftp://example.org",
            "file:///etc/passwd",
            "https://",
            "http://user:pw@example.org",
        ),
        *(
            "https://example.org/v1?x=1",
            "https://example.org#a",
            "http://127.0.0.1:8000/v1",
            "http://[::1]/v1",
        ),
        *(
            "https://exa mple.org",
            "https://example.org:99999",
            "http://example.org:0",
            "http://[",
            "https://ex\u0430mple.org",
        ),
    ],
)
def test_base_urls_that_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean_base_url(text)
    assert refused.value.fields["base_url"]


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
def test_base_url_loses_its_last_slash() -> None:
    assert clean_base_url(" https://api.example.org/v1/ ") == "https://api.example.org/v1"


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
def test_name_is_judged_by_what_it_resolves_to() -> None:
    with chat_server() as emulator, outside_client(5) as client:
        url = emulator.base_url.replace("127.0.0.1", "localhost")
        with pytest.raises(Refused):
            client.post(f"{url}/chat/completions", json={})
        assert not emulator.calls


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("spelled", ["http://2130706433", "http://0x7f.1", "http://127.1"])
def test_other_spellings_of_loopback_are_seen_through(spelled: str) -> None:
    with outside_client(5) as client, pytest.raises((Refused, httpx.ConnectError)):
        client.get(clean_base_url(spelled) + ":9")


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with outside_client(5) as client, pytest.raises(Refused):
        client.get("https://both.example.org")


@pytest.mark.laptop
@pytest.mark.usefixtures("private_allowed")
def test_host_header_is_the_name() -> None:
    with chat_server() as emulator, outside_client(5) as client:
        url = emulator.base_url.replace("127.0.0.1", "localhost")
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        answer = client.post(f"{url}/chat/completions", json=body)
        assert answer.status_code == 200
        assert len(emulator.calls) == 1
