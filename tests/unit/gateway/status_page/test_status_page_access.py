"""Who gets to see the status page, and from where."""

import asyncio
import socket

import pytest
from aiohttp import ClientSession

from gateway.server.handlers.operator_access import is_from_here
from tests.harness.pages.status_pages import serving
from tests.unit.gateway.status_page.page_reading import PATHS, ask


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.0.0.1:1234", "box.lan:80"])
async def test_on_loopback_it_answers_under_its_names_and_the_configured_ones(
    client: ClientSession, path: str, host: str
) -> None:
    async with serving(status_page_hosts=("box.lan",)) as gateway:
        assert await ask(client, gateway.url + path, Host=host) == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "192.0.2.1", "[fd00::2]"])
async def test_a_foreign_name_is_misdirected_whatever_address_it_resolves_to(
    client: ClientSession, path: str, host: str
) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path, Host=host) == 421


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_a_proxy_on_this_machine_does_not_open_the_page_to_the_world(
    client: ClientSession, path: str, header: str
) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path, **{header: "127.0.0.1"}) == 404


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_loopback_peer_is_from_here(peer: str | None, here: bool) -> None:
    assert is_from_here(peer) is here


@pytest.mark.parametrize("path", PATHS)
async def test_from_another_address_the_page_looks_like_any_unknown_path(client: ClientSession, path: str) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback's")
    async with serving(host="0.0.0.0") as gateway:
        outside = f"http://{address}:{gateway.port}"
        hidden = await client.get(outside + path, headers={"Host": "localhost"})
        nothing = await client.get(outside + "/nothing-here")
        assert (hidden.status, await hidden.read()) == (nothing.status, await nothing.read())
        assert hidden.headers.keys() == nothing.headers.keys()
        assert await ask(client, gateway.url + path) == 200


def own_address() -> str | None:
    """An address of this machine that is not loopback's. Connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if is_from_here(address) else address


@pytest.mark.parametrize("path", PATHS)
async def test_off_is_off_for_loopback_too(client: ClientSession, path: str) -> None:
    async with serving(status_page="off") as gateway:
        assert await ask(client, gateway.url + path) == 404


@pytest.mark.parametrize("path", PATHS)
async def test_everyone_gets_in_under_any_name_when_so_configured(client: ClientSession, path: str) -> None:
    async with serving(status_page="everyone") as gateway:
        assert await ask(client, gateway.url + path, Host="gateway.example", X_Forwarded_For="192.0.2.9") == 200


async def test_everyone_may_be_held_to_the_configured_names(client: ClientSession) -> None:
    async with serving(status_page="everyone", status_page_hosts=("gateway.example",)) as gateway:
        assert await ask(client, gateway.url, Host="gateway.example:8443", Via="1.1 proxy") == 200
        assert await ask(client, gateway.url, Host="evil.test") == 421


async def test_a_request_without_a_host_is_not_shown_the_page() -> None:
    async with serving() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"421"
        writer.close()


@pytest.mark.parametrize("shown_to", ["loopback", "off"])
async def test_head_is_answered_for_anybody_and_reveals_nothing(client: ClientSession, shown_to: str) -> None:
    async with serving(status_page=shown_to) as gateway:
        response = await client.head(gateway.url, headers={"Host": "evil.test", "Via": "x"})
        assert response.status == 204
        assert "Content-Security-Policy" not in response.headers
