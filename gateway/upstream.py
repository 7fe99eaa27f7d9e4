"""The gateway's side of one llama-server: its connections, the heads of its requests, its health.

A connection is kept for the next request, but not for long: llama-server closes one after 5 idle seconds and
after 100 requests (cpp-httplib's keep-alive defaults, seen in its `Keep-Alive` header).
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Container, Iterable
from urllib.parse import urlsplit

from aiohttp import web

from gateway.connection import Connection, Head, UpstreamError
from gateway.deployment import Deployment

_IDLE_SECONDS = 4.0
_EXCHANGES_PER_CONNECTION = 95
_MAX_HEALTH_BYTES = 64 * 1024


class Upstream:
    """Opens, keeps and reuses connections to the llama-server of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        parts = urlsplit(deployment.upstream)
        self.url = deployment.upstream
        self.timeouts = deployment.timeouts
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        fixed = f"Host: {parts.netloc}\r\n"
        if deployment.upstream_key is not None:
            fixed += f"Authorization: Bearer {deployment.upstream_key}\r\n"
        self._fixed_headers = fixed.encode("ascii")
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def open_connections(self) -> int:
        """Connections that stand, in use and idle."""
        return len(self._idle) + len(self._in_use)

    def request_head(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], framing: bytes) -> bytes:
        """The bytes before a request's body. `framing` is the header line that says how long that is, or nothing."""
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return f"{method} {path} HTTP/1.1\r\n".encode("ascii") + self._fixed_headers + lines + framing + b"\r\n"

    async def connect(self) -> Connection:
        """A connection on which nothing has been sent yet. Raises UpstreamError, within `timeouts.connect` seconds."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_stale():
                connection.abort()
                continue
            self._in_use.add(connection)
            return connection
        connection = await self._open()
        self._in_use.add(connection)
        return connection

    def release(self, connection: Connection, *, reusable: bool = True) -> None:
        """Take a connection back: keep it if its answer is complete and it may serve again, else close it.

        A connection that is still owed a part of its request is never `reusable`.
        """
        self._in_use.discard(connection)
        fit = reusable and not self._closed and connection.exchanges < _EXCHANGES_PER_CONNECTION
        if not fit or not connection.may_be_reused():
            connection.abort()
            return
        connection.release()
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)
        self._sweep_later()

    async def health(self, timeout: float) -> str:
        """Ask `/health`: "ok", "loading", or what is wrong in a few words. Never raises, takes `timeout` s at most."""
        try:
            async with asyncio.timeout(timeout):
                head, body = await self._ask_health()
        except TimeoutError:
            return f"no answer within {timeout:g} s"
        except UpstreamError as error:
            return str(error)
        return _read_health(head.status, body)

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is released."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeouts.connect):
                _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        except TimeoutError as error:
            raise UpstreamError(f"no connection within {self.timeouts.connect:g} s") from error
        except socket.gaierror as error:
            raise UpstreamError("its host name does not resolve") from error
        except ssl.SSLError as error:
            raise UpstreamError(f"TLS failed: {error.reason}") from error
        except OSError as error:
            raise UpstreamError(f"no connection: {error.strerror or error}") from error
        return connection

    async def _ask_health(self) -> tuple[Head, bytes]:
        connection = await self.connect()
        answer = _WholeAnswer()
        try:
            connection.begin(answer, self.request_head("GET", "/health", (), b""))
            return await answer.done
        finally:
            self.release(connection)

    def _sweep_later(self) -> None:
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep_idle)

    def _sweep_idle(self) -> None:
        self._sweep = None
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        for connection in [idle for idle in self._idle if idle.idle_since < oldest or idle.is_closing()]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._sweep_later()


class Upstreams:
    """One Upstream for each deployment, made when first asked for and remade when the deployment changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Deployment, Upstream]] = {}

    def of(self, deployment: Deployment) -> Upstream:
        """The upstream of this deployment."""
        known = self._known.get(deployment.id)
        if known is not None and _same_upstream(known[0], deployment):
            return known[1]
        if known is not None:
            known[1].close()
        upstream = Upstream(deployment)
        self._known[deployment.id] = (deployment, upstream)
        return upstream

    def keep_only(self, deployment_ids: Container[str]) -> None:
        """Forget the upstreams of deployments that are gone. What is under way on them finishes."""
        for gone in [known for known in self._known if known not in deployment_ids]:
            self._known.pop(gone)[1].close()

    def close(self) -> None:
        """Close all idle connections."""
        self.keep_only(())


UPSTREAMS = web.AppKey("upstreams", Upstreams)


def _same_upstream(one: Deployment, other: Deployment) -> bool:
    return one is other or (one.upstream, one.upstream_key, one.timeouts) == (
        other.upstream,
        other.upstream_key,
        other.timeouts,
    )


class _WholeAnswer:
    """A receiver that collects a short answer."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[Head, bytes]] = asyncio.get_running_loop().create_future()
        self._head: Head | None = None
        self._body = b""

    def head_received(self, head: Head) -> None:
        self._head = head

    def body_received(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _MAX_HEALTH_BYTES:
            self.broken(UpstreamError("its /health answers without end"))

    def ended(self) -> None:
        if self._head is not None and not self.done.done():
            self.done.set_result((self._head, self._body))

    def broken(self, error: UpstreamError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _read_health(status: int, body: bytes) -> str:
    """What an answer of `/health` means. A 200 alone is no proof: the body must be llama-server's own."""
    if says_loading(status, body):
        return "loading"
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict) and answer.get("status") == "ok":
        return "ok"
    return f"/health answered {status}, not as a llama-server does"


def says_loading(status: int, body: bytes) -> bool:
    """Whether this is llama-server's 503 while it loads its model."""
    return status == 503 and b"loading model" in body.lower()  # capital L since 2024: tools/server/server-http.cpp
