"""Where an upstream listens, and how a connection to it is opened: TCP, TLS, or a Unix socket."""

import asyncio
import contextlib
import os
import socket
import ssl
from urllib.parse import urlsplit

from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.resolver import Resolver
from gateway.proxy.upstream.response_head import UpstreamError, UpstreamTimeoutError
from gateway.proxy.upstream.tls import TlsConnection, Trust


class Address:
    """An upstream's URL, as `deployment.check_upstream` lets it pass. `ca_file` verifies TLS in place of the system's.

    `authority` is what its `Host` header says.
    """

    def __init__(self, url: str, ca_file: str | None) -> None:
        parts = urlsplit(url)
        self.authority = parts.netloc or "localhost"
        self._socket_path = parts.path if parts.scheme == "unix" else None
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._resolver = Resolver(self._host, self._port)
        self._trust = Trust(ca_file)

    async def open(self, timeout: float) -> UpstreamConnection:
        """A new connection. Raises UpstreamError if there is none within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._open()
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

    async def _open(self) -> UpstreamConnection:
        if self._socket_path is not None:
            _, connection = await asyncio.get_running_loop().create_unix_connection(
                UpstreamConnection, self._socket_path
            )
            return connection
        *others, last = await self._resolver.addresses()
        for address in others:
            with contextlib.suppress(OSError):
                return await self._connect(address)
        return await self._connect(last)

    async def _connect(self, address: str) -> UpstreamConnection:
        context = self._trust.context() if self._secure else None
        name = self._host if context is not None else None
        kind = UpstreamConnection if context is None else TlsConnection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(kind, address, self._port, ssl=context, server_hostname=name)
        return connection


def _why(error: OSError) -> str:
    """The system's error message, without the address that asyncio adds."""
    return os.strerror(error.errno) if error.errno else "the address cannot be used"
