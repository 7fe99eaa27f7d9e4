"""A name with several addresses, one of which swallows what is sent to it: the next is tried meanwhile (RFC 8305)."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
import trustme

from gateway.proxy.upstream import address as module
from gateway.proxy.upstream.address import Address
from gateway.proxy.upstream.resolver import Resolver
from gateway.proxy.upstream.response_head import UpstreamError
from tests.harness.patience import PATIENCE
from tests.harness.sockets.stage import certified

DEAF, GOOD, CLOSED = "127.0.0.7", "127.0.0.8", "127.0.0.9"  # of one port


class Place:
    """One port: on `DEAF` the queue of connections is full, on `GOOD` somebody listens, on `CLOSED` nobody does."""

    def __init__(self) -> None:
        self._listening = socket.create_server((GOOD, 0))
        self.port: int = self._listening.getsockname()[1]
        self._deaf = socket.socket()
        self._deaf.bind((DEAF, self.port))
        self._deaf.listen(0)
        self._filling = [self._knock() for _ in range(4)]

    def _knock(self) -> socket.socket:
        knocking = socket.socket()
        knocking.setblocking(False)
        knocking.connect_ex((DEAF, self.port))
        return knocking

    def address(self, monkeypatch: pytest.MonkeyPatch, *addresses: str, scheme: str = "http") -> Address:
        """A name that has these addresses, the best first."""

        async def found(_: Resolver) -> list[str]:
            return list(addresses)

        monkeypatch.setattr(Resolver, "addresses", found)
        return Address(f"{scheme}://several.test:{self.port}")

    def close(self) -> None:
        for each in (*self._filling, self._deaf, self._listening):
            each.close()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


async def peer_of(address: Address, timeout: float = PATIENCE) -> str:
    connection = await address.open(timeout)
    peer: str = connection.transport.get_extra_info("peername")[0]
    connection.abort()
    return peer


@pytest.mark.parametrize("addresses", [(DEAF, GOOD), (CLOSED, DEAF, GOOD), (DEAF, CLOSED, GOOD), (GOOD, DEAF)])
async def test_an_address_that_swallows_everything_is_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    assert await peer_of(place.address(monkeypatch, *addresses)) == GOOD


async def test_the_next_is_tried_after_250_ms_and_the_good_one_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = place.address(monkeypatch, DEAF, GOOD)
    begun = time.monotonic()
    assert await peer_of(address) == GOOD
    assert time.monotonic() - begun >= 0.25
    monkeypatch.setattr(module, "_NEXT_ADDRESS_SECONDS", PATIENCE)
    assert await peer_of(address) == GOOD, "the address that connected last is tried first"


async def test_the_good_address_may_change(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = place.address(monkeypatch, GOOD)
    assert await peer_of(address) == GOOD
    moved = await asyncio.start_server(lambda _reader, writer: writer.close(), CLOSED, place.port)
    place.address(monkeypatch, DEAF, CLOSED)
    assert await peer_of(address) == CLOSED
    moved.close()


async def test_where_all_addresses_swallow_everything_the_time_is_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UpstreamError, match=r"no connection within 0\.6 s"):
        await place.address(monkeypatch, DEAF, DEAF).open(0.6)


async def test_where_nobody_listens_at_any_address_it_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UpstreamError, match="no connection: Connection refused"):
        await place.address(monkeypatch, CLOSED, "127.0.0.10").open(PATIENCE)


async def test_TLS_is_spoken_with_the_name_and_not_with_an_address(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), CLOSED, place.port, ssl=certified(authority, "several.test")
    )
    address = place.address(monkeypatch, DEAF, CLOSED, scheme="https")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: context)
    assert await peer_of(address) == CLOSED
    server.close()


async def test_small_writes_are_not_held_back_on_a_socket_of_our_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await place.address(monkeypatch, GOOD).open(PATIENCE)
    opened = connection.transport.get_extra_info("socket")
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.abort()
