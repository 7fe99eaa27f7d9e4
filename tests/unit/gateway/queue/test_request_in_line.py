"""A request that has its turn, and whose connection is gone before it is sent."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from gateway.core.deployment import Deployment
from gateway.core.endpoints import ENDPOINTS
from gateway.core.errors import Refusal
from gateway.core.exchange import Exchange
from gateway.proxy.client_connection import Client, ClientConnection
from gateway.proxy.queue.arbiter import Message
from gateway.proxy.queue.deployment_line import DeploymentLine
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.address import Address
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.server.fast_path.request_in_line import RequestInLine
from tests.harness.pools import SOMEBODY
from tests.harness.sockets.stream_server import serving


async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def opened_and_closed(address: Address) -> UpstreamConnection:
    connection = await address.open(5.0)
    connection.abort()
    return connection


async def test_it_is_refused_and_its_place_given_back_and_settled() -> None:
    told: list[Message] = []
    line = DeploymentLine("demo", told.append)
    refused: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
    client = cast(ClientConnection, SimpleNamespace(answer=None))
    relay = cast(Relay, SimpleNamespace(hold=lambda _: None, let_go=lambda _: None))
    async with serving(listen) as url:
        pool = ConnectionPool(Deployment("demo", "acme", url), line)
        cast(Any, pool)._open_once = partial(opened_and_closed, Address(url))
        request = RequestInLine(
            Exchange("id"),
            next(iter(ENDPOINTS.values())),
            pool,
            b"",
            client=Client(client),
            relay=relay,
            begin=lambda *_: cast(Any, None),
            report=lambda _exchange, _client, refusal: refused.set_result(refusal),
        )
        request.wait(SOMEBODY)
        number = request.exchange.ticket
        line.hear("contended")
        line.hear("give", number)
        assert isinstance(await refused, Refusal)
        pool.close()
    assert [message[0] for message in told if message[2:3] == (number,)] == ["ask", "back", "settled"]
