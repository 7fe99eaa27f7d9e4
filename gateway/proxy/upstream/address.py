"""Where an upstream listens, and how a connection to it is opened: TCP, TLS, or a Unix socket.

A name may have several addresses, and the first of them swallow what is sent to it: the next is tried meanwhile, as
RFC 8305 has it ("happy eyeballs").
"""

import asyncio
import os
import socket
import ssl
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection

from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.resolver import Resolver
from gateway.proxy.upstream.response_head import UpstreamError, UpstreamTimeoutError
from gateway.proxy.upstream.tls import TlsConnection, Trust

_NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305 section 5: the Connection Attempt Delay, as recommended


class Address:
    """An upstream's URL, as `deployment.check_upstream` lets it pass. `trust` verifies TLS in place of the system.

    `authority` is what its `Host` header says.
    """

    def __init__(self, url: str, trust: Trust | None = None) -> None:
        parts = urlsplit(url)
        self.authority = parts.netloc or "localhost"
        self._socket_path = parts.path if parts.scheme == "unix" else None
        self._host = parts.hostname or ""
        self._trust = (trust or Trust(None)) if parts.scheme == "https" else None
        self._port = parts.port or (80 if self._trust is None else 443)
        self._resolver = Resolver(self._host, self._port)
        self._good: str | None = None  # of several addresses the one that connected last; it is tried first

    async def open(self, timeout: float) -> UpstreamConnection:
        """A new connection. Raises UpstreamError if there is none within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._open(timeout)
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"no connection within {timeout:g} s") from error
        except socket.gaierror as error:
            raise UpstreamError("its host name does not resolve") from error
        except ssl.SSLCertVerificationError as error:
            raise UpstreamError(f"its certificate is not trusted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise UpstreamError(f"TLS failed: {error.reason}") from error
        except OSError as error:
            raise UpstreamError(f"no connection: {_why(error)}") from error

    async def _open(self, timeout: float) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        if self._socket_path is not None:
            _, connection = await loop.create_unix_connection(UpstreamConnection, self._socket_path)
            return connection
        addresses = await self._resolver.addresses()
        if self._trust is None and len(addresses) == 1:  # to have it race with itself would take thrice as long
            _, connection = await loop.create_connection(UpstreamConnection, addresses[0], self._port)
            return connection
        context = None if self._trust is None else await self._trust.context()
        name = self._host if context is not None else None
        kind = UpstreamConnection if context is None else TlsConnection
        connected = await self._connect(addresses)
        try:
            peer = connected.getpeername()[0]
        except OSError:  # it is gone again
            connected.close()
            raise
        self._good = peer if peer in addresses else None
        limit = timeout if context is not None else None
        opening = asyncio.ensure_future(
            loop.create_connection(kind, sock=connected, ssl=context, server_hostname=name, ssl_handshake_timeout=limit)
        )
        try:
            _, connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_abort)
            raise
        return connection

    async def _connect(self, addresses: list[str]) -> socket.socket:
        """A socket to one of them, the best first."""
        if self._good in addresses:
            addresses = [self._good, *(other for other in addresses if other != self._good)]
        ways = [_addr_info(address, self._port) for address in addresses]
        return await start_connection(ways, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)


def _abort(opening: "asyncio.Future[tuple[asyncio.Transport, UpstreamConnection]]") -> None:
    """Close a connection for which nobody waits any more, once it is there.

    It is not cancelled: that would leave its socket to a transport without an owner, and its descriptor could become
    another connection's while the transport still used it.
    """
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


def _addr_info(address: str, port: int) -> AddrInfoType:
    """A numeric address as `getaddrinfo` returns it. The zone of a link-local one is an interface's name or number."""
    if ":" not in address:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
    plain, _, zone = address.partition("%")
    scope = 0 if not zone else int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (plain, port, 0, scope)


def _why(error: OSError) -> str:
    """The system's error message, without the address that asyncio adds."""
    return os.strerror(error.errno) if error.errno else "none of its addresses can be used"
