"""What a client's connection is given to send leaves in its order, and all of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.write_coalescing import WriteCoalescer
from tests.harness.patience import PATIENCE


async def _unasked(_request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("nobody sends a request here")


@asynccontextmanager
async def connected(coalescer: WriteCoalescer) -> AsyncIterator[tuple[ClientConnection, socket.socket]]:
    """A connection, and its client's end of it."""
    loop, server = asyncio.get_running_loop(), web.Server(_unasked)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.setblocking(False)
        transport, connection = await loop.connect_accepted_socket(
            lambda: ClientConnection(coalescer, server, loop=loop), listener.accept()[0]
        )
        yield connection, client
        transport.close()
        await server.shutdown()


async def read(client: socket.socket, size: int) -> bytes:
    """What the client is sent next, if it comes within five seconds."""
    data = b""
    async with asyncio.timeout(PATIENCE):
        while len(data) < size and (more := await asyncio.get_running_loop().sock_recv(client, size - len(data))):
            data += more
    return data


async def test_what_is_sent_now_leaves_after_what_waits_for_the_end_of_the_turn() -> None:
    async with connected(WriteCoalescer()) as (connection, client):
        connection.send_with_others(b"an answer, ")
        connection.send(b"a refusal, ")
        assert client.recv(100) == b"an answer, a refusal, "
        await asyncio.sleep(0)
        connection.send(b"and nothing twice")
        assert await read(client, 17) == b"and nothing twice"


async def test_what_waits_leaves_before_anything_that_is_scheduled_later() -> None:
    coalescer, seen = WriteCoalescer(), b""

    def look() -> None:
        nonlocal seen
        seen = other.recv(100)

    async with connected(coalescer) as (connection, client), connected(coalescer) as (neighbour, other):
        connection.send_with_others(b"one")
        neighbour.send_with_others(b"another")
        asyncio.get_running_loop().call_soon(look)
        await asyncio.sleep(0)
        assert (seen, client.recv(100)) == (b"another", b"one")


async def test_an_answer_that_waits_counts_as_unread() -> None:
    async with connected(WriteCoalescer()) as (connection, client):
        seen = [connection.is_unread]
        connection.send_with_others(b"answer")
        seen.append(connection.is_unread)
        assert await read(client, 6) == b"answer"
        assert [*seen, connection.is_unread] == [False, True, False]


async def test_a_client_that_closes_its_side_meanwhile_has_its_answer() -> None:
    async with connected(WriteCoalescer()) as (connection, client):
        connection.send_with_others(b"answer")
        connection.eof_received()
        assert connection.transport is not None
        connection.transport.close()  # as event loops do after that
        assert await read(client, 100) == b"answer"


async def test_nothing_is_sent_after_what_a_connection_was_closed_behind() -> None:
    """The end of an answer must not follow after its connection was closed to show that it was cut."""
    cut = b"cut" * 5_000_000  # more than the kernel takes off our hands
    async with connected(WriteCoalescer()) as (connection, client):
        connection.send(cut)
        assert connection.transport is not None
        connection.transport.close()
        connection.send(b"the end")
        connection.send_with_others(b"the end")
        assert await read(client, len(cut) + 1) == cut
