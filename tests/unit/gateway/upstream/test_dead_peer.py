"""What the system is told so that it notices a peer that vanishes, and what it is asked."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.proxy.upstream.dead_peer import detect_death, is_dead

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the options have other names, or none")


@pytest.fixture
async def transport() -> AsyncIterator[asyncio.Transport]:
    """A connection to somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *listening.getsockname())
        yield transport
        transport.abort()


@linux_only
@pytest.mark.parametrize(("seconds", "idle", "pause"), [(30.0, 15, 5), (3600.0, 1800, 600), (6.0, 3, 1), (0.5, 1, 1)])
async def test_a_silent_connection_is_asked_three_times_within_the_limit(
    transport: asyncio.Transport, seconds: float, idle: int, pause: int
) -> None:
    detect_death(transport, seconds)
    its = transport.get_extra_info("socket")
    assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    assert [its.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [idle, pause, 3]


@linux_only
async def test_a_peer_that_has_room_for_nothing_is_not_ended_by_the_system(transport: asyncio.Transport) -> None:
    detect_death(transport, 30.0)
    its = transport.get_extra_info("socket")
    assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


async def test_a_peer_that_answers_is_not_dead(transport: asyncio.Transport) -> None:
    transport.write(b"x")
    assert not is_dead(transport, 0.0)


async def test_a_connection_that_is_closed_is_no_trouble(transport: asyncio.Transport) -> None:
    transport.abort()
    await asyncio.sleep(0)
    detect_death(transport, 30.0)
    assert not is_dead(transport, 0.0)


async def test_a_unix_socket_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    detect_death(transport, 30.0)
    assert not is_dead(transport, 0.0)
    transport.abort()
    theirs.close()
