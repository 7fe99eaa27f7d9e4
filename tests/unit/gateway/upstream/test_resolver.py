"""Names that do not resolve, resolve to several addresses, or hang: none of it is anybody else's trouble."""

import asyncio
import socket
import threading
import time

import pytest

from gateway.proxy.upstream.address import Address
from gateway.proxy.upstream.resolver import Resolver
from gateway.proxy.upstream.response_head import UpstreamError
from tests.harness.patience import AT_ONCE, PATIENCE


class Lookups:
    """Stands in for `socket.getaddrinfo`: `hangs.test` hangs until `free` is set, any other name has `addresses`."""

    def __init__(self, addresses: list[str]) -> None:
        self.free = threading.Event()
        self.asked: list[object] = []
        self._addresses = addresses

    def __call__(self, host: object, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        if host == "hangs.test":
            self.free.wait(PATIENCE)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self._addresses]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    lookups = Lookups(["127.0.0.3", "127.0.0.2"])
    monkeypatch.setattr(socket, "getaddrinfo", lookups)
    return lookups


async def test_a_name_that_hangs_holds_up_one_thread_and_no_other_name(lookups: Lookups) -> None:
    hanging, other = Resolver("hangs.test", 80), Resolver("other.test", 80)
    waiting = [asyncio.create_task(hanging.addresses()) for _ in range(100)]
    await asyncio.sleep(0)
    assert await other.addresses() == ["127.0.0.3", "127.0.0.2"]
    assert lookups.asked.count("hangs.test") == 1
    lookups.free.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.3", "127.0.0.2"]] * 100


async def test_who_gives_up_waiting_leaves_the_lookup_to_the_others(lookups: Lookups) -> None:
    resolver = Resolver("hangs.test", 80)
    impatient, patient = (asyncio.create_task(resolver.addresses()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    lookups.free.set()
    assert await patient == ["127.0.0.3", "127.0.0.2"]
    assert impatient.cancelled()


async def test_a_lookup_that_hangs_is_a_connection_that_does_not_stand_in_time(lookups: Lookups) -> None:
    begun = time.monotonic()
    with pytest.raises(UpstreamError, match=r"no connection within 0\.05 s"):
        await Address("http://hangs.test").open(0.05)
    assert time.monotonic() - begun < AT_ONCE
    lookups.free.set()


def test_a_lookup_that_hangs_does_not_keep_the_event_loop_from_closing(lookups: Lookups) -> None:
    async def give_up() -> None:
        with pytest.raises(UpstreamError):
            await Address("http://hangs.test").open(0.05)

    begun = time.monotonic()
    asyncio.run(give_up())
    assert time.monotonic() - begun < AT_ONCE
    lookups.free.set()


async def test_a_lookup_that_gets_no_thread_fails_and_the_next_is_tried_anew(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    address = Address("http://other.test")
    for _ in range(2):
        with monkeypatch.context() as limit:
            limit.setattr(threading.Thread, "start", refuse)
            with pytest.raises(UpstreamError, match="no thread could be started to look up its host name"):
                await address.open(5)
    with pytest.raises(UpstreamError, match="no connection"):  # it has an address, where nobody listens
        await address.open(5)
    assert lookups.asked == ["other.test"]


@pytest.mark.parametrize("host", ["l" * 70 + ".test", "a..b", "nowhere.invalid", "xn--a.test"])
async def test_a_name_that_cannot_be_is_a_name_that_does_not_resolve(host: str) -> None:
    with pytest.raises(UpstreamError, match="its host name does not resolve"):
        await Address(f"http://{host}").open(5)


async def test_an_address_is_not_looked_up(lookups: Lookups) -> None:
    assert await Resolver("127.0.0.1", 80).addresses() == ["127.0.0.1"]
    assert await Resolver("fe80::1%eth0", 80).addresses() == ["fe80::1%eth0"]
    assert lookups.asked == []


async def test_of_several_addresses_the_first_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        found = asyncio.get_running_loop().create_future()
        found.set_result(["127.0.0.9", "127.0.0.1"])
        address = Address(f"http://several.test:{port}")
        monkeypatch.setattr(Resolver, "addresses", lambda _: found)
        connection = await address.open(5)
        assert connection.transport.get_extra_info("peername")[0] == "127.0.0.1"
        connection.abort()
