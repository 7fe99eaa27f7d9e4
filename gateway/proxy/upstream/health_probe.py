"""What an upstream says of its own health, and what that means."""

import asyncio
from typing import NamedTuple

import orjson

from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError, UpstreamTimeoutError

_MAX_BYTES = 64 * 1024


class Probe(NamedTuple):
    """What a probe saw: "ok", "loading", or what is wrong in a few words; and whether it `timed_out`: nothing came."""

    seen: str
    timed_out: bool = False


async def ask_health(pool: ConnectionPool, timeout: float) -> Probe:
    """Ask `/health`. Never raises, takes `timeout` seconds at most."""
    try:
        async with asyncio.timeout(timeout):
            head, body = await _ask(pool)
    except TimeoutError:
        return Probe(f"no answer within {timeout:g} s", timed_out=True)
    except UpstreamError as error:
        return Probe(str(error), timed_out=isinstance(error, UpstreamTimeoutError))
    return Probe(_meaning(head.status, body))


def says_loading(status: int, body: bytes) -> bool:
    """Whether this is llama-server's 503 while it loads its model."""
    return status == 503 and b"loading model" in body.lower()  # capital L since 2024: tools/server/server-http.cpp


def _meaning(status: int, body: bytes) -> str:
    """A 200 alone proves nothing: the body must be llama-server's own."""
    if says_loading(status, body):
        return "loading"
    try:
        answer = orjson.loads(body)  # json's would fail on nested brackets with an error that is no ValueError
    except orjson.JSONDecodeError:
        answer = None
    if status == 200 and isinstance(answer, dict) and answer.get("status") == "ok":
        return "ok"
    return f"/health answered {status}, not as a llama-server does"


async def _ask(pool: ConnectionPool) -> tuple[ResponseHead, bytes]:
    connection = await pool.connect_apart()
    answer = _WholeAnswer()
    try:
        connection.send_request(answer, pool.request_head("GET", "/health", b"Connection: close\r\n"))
        return await answer.done
    finally:
        connection.abort()


class _WholeAnswer:
    """A receiver that collects a short answer."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[ResponseHead, bytes]] = asyncio.get_running_loop().create_future()
        self._head: ResponseHead | None = None
        self._body = b""

    def head_received(self, head: ResponseHead) -> None:
        self._head = head

    def body_received(self, data: bytes, last: bool) -> None:
        self._body += data
        if len(self._body) > _MAX_BYTES:
            self.broken(UpstreamError("its /health response is too large"))
        elif last and self._head is not None and not self.done.done():
            self.done.set_result((self._head, self._body))

    def broken(self, error: UpstreamError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
