"""The client's body on its way up, where a process of its own would need minutes to show it."""

import asyncio
from typing import cast

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from gateway.core.errors import Refusal
from gateway.proxy import request_body
from gateway.proxy.request_body import RequestBody
from gateway.proxy.upstream.connection import UpstreamConnection

SILENCE = 0.1  # seconds


class SlowUpstream:
    """Takes its time over every piece."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.received = b""

    def write(self, data: bytes) -> None:
        self.received += data

    async def drain(self) -> None:
        await asyncio.sleep(self._seconds)


@pytest.fixture(autouse=True)
def _no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a client has sent, it may not pause for longer."""
    monkeypatch.setattr(request_body, "_SLOWEST_BYTES_PER_SECOND", 1e12)


def begun_body() -> StreamReader:
    """What the client has sent: as much as is held back, and no more yet."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    body = StreamReader(protocol, limit=1 << 20, loop=loop)
    body.feed_data(bytes(request_body.HELD_BYTES))
    return body


async def carry(body: StreamReader, upstream: SlowUpstream) -> None:
    request = make_mocked_request("POST", "/", headers={"Transfer-Encoding": "chunked"}, payload=body)
    one = RequestBody(request, limit=1 << 30, silence=SILENCE)
    await one.continue_to(cast(UpstreamConnection, upstream), await one.read_first(), lambda: None)


async def test_the_time_that_the_upstream_takes_is_not_the_clients() -> None:
    loop, body = asyncio.get_running_loop(), begun_body()
    upstream = SlowUpstream(SILENCE * 2)
    loop.call_later(SILENCE * 2.5, body.feed_data, b"more")
    loop.call_later(SILENCE * 2.5, body.feed_eof)
    await carry(body, upstream)
    assert upstream.received.endswith(b"4\r\nmore\r\n0\r\n\r\n")


async def test_the_time_that_the_client_takes_is() -> None:
    with pytest.raises(Refusal, match="slow_upload"):
        await carry(begun_body(), SlowUpstream(0))
