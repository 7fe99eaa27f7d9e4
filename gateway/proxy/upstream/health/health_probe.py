"""What an upstream says of its own health, and how many slots it has; and when it is asked, of very many upstreams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from zlib import crc32

import orjson

from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError, UpstreamTimeoutError

_MAX_BYTES = 1024 * 1024  # /props has the chat template in it
_MOST_SLOTS = 65536  # as limits.connections
_MOST_AT_ONCE = 256  # probes under way, each of which has a file descriptor


class Probe(NamedTuple):
    """What a probe saw: "ok", "loading", or what is wrong in a few words; and whether it `timed_out`: nothing came."""

    seen: str
    timed_out: bool = False


class ProbeTurns:
    """Lets `most` probes be under way at a time, and one begin in each turn of the event loop."""

    def __init__(self, most: int = _MOST_AT_ONCE) -> None:
        self._under_way = asyncio.Semaphore(most)
        self._one_begins = asyncio.Lock()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Probe in this block."""
        async with self._under_way:
            async with self._one_begins:
                await asyncio.sleep(0)
            yield


def seconds_to_next(name: str, interval: float, now: float) -> float:
    """How long after a probe at `now` the next one of this upstream is due.

    Each upstream has a moment of its own in the interval, given by its name, so that very many are not asked all in one
    moment. The first time comes after half an interval at least, and one and a half at most.
    """
    moment = crc32(name.encode()) / 2**32 * interval
    return (moment - now - interval / 2) % interval + interval / 2


async def ask_health(pool: ConnectionPool, timeout: float) -> Probe:
    """Ask `/health`. Never raises, takes `timeout` seconds at most."""
    try:
        async with asyncio.timeout(timeout):
            head, body = await _ask(pool, "/health")
    except TimeoutError:
        return Probe(f"no answer within {timeout:g} s", timed_out=True)
    except UpstreamError as error:
        return Probe(str(error), timed_out=isinstance(error, UpstreamTimeoutError))
    return Probe(_meaning(head.status, body))


async def ask_slots(pool: ConnectionPool, timeout: float) -> int | None:
    """How many slots it has, as its `/props` says; None if that says something else.

    Raises TimeoutError if it says nothing within `timeout` seconds, and UpstreamError.
    """
    async with asyncio.timeout(timeout):
        head, body = await _ask(pool, "/props")
    answer = _json(body)
    slots = answer.get("total_slots") if head.status == 200 and isinstance(answer, dict) else None
    return slots if slots.__class__ is int and 0 < slots <= _MOST_SLOTS else None


def says_loading(status: int, body: bytes) -> bool:
    """Whether this is llama-server's 503 while it loads its model."""
    return status == 503 and b"loading model" in body.lower()  # capital L since 2024: tools/server/server-http.cpp


def _meaning(status: int, body: bytes) -> str:
    """A 200 alone proves nothing: the body must be llama-server's own."""
    if says_loading(status, body):
        return "loading"
    answer = _json(body)
    if status == 200 and isinstance(answer, dict) and answer.get("status") == "ok":
        return "ok"
    return f"/health answered {status}, not as a llama-server does"


def _json(body: bytes) -> object:
    """What is written there; None if that is no JSON."""
    try:
        return orjson.loads(body)  # json's would fail on nested brackets with an error that is no ValueError
    except orjson.JSONDecodeError:
        return None


async def _ask(pool: ConnectionPool, path: str) -> tuple[ResponseHead, bytes]:
    connection = await pool.connect_apart()
    answer = _WholeAnswer()
    try:
        connection.send_request(answer, pool.request_head("GET", path, b"Connection: close\r\n"))
        return await answer.done
    finally:
        connection.abort()


class _WholeAnswer:
    """A receiver that collects a short answer."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[ResponseHead, bytes]] = asyncio.get_running_loop().create_future()
        self._head: ResponseHead | None = None
        self._body = b""

    def whole_received(self, head: ResponseHead, body: bytes) -> None:
        self.head_received(head)
        self.body_received(body, True)

    def head_received(self, head: ResponseHead) -> None:
        self._head = head

    def body_received(self, data: bytes, last: bool) -> None:
        self._body += data
        if len(self._body) > _MAX_BYTES:
            self.broken(UpstreamError("its response to a probe is too large"))
        elif last and self._head is not None and not self.done.done():
            self.done.set_result((self._head, self._body))

    def broken(self, error: UpstreamError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
