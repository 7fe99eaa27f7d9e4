"""A connection to an upstream over TLS: which certificates it trusts, and how it ends."""

import asyncio
import logging
import ssl
from pathlib import Path
from weakref import WeakValueDictionary

from gateway.core.file_signature import Signature, signature_of
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.response_head import UpstreamError

log = logging.getLogger("gateway.upstream")


class Trust:
    """Whom an upstream's certificate is verified against: the authorities of a PEM file, or the system's.

    A file that is replaced counts from the next connection on. One that turns bad changes nothing but the log. To read
    the system's takes 20 ms, and what was read 1 MB: a thread does it, and upstreams share one of these.
    """

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._signature: Signature | None = None
        self._context: ssl.SSLContext | None = None
        self._reading = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """What a new connection is opened with. Raises UpstreamError if the file was never a good one."""
        known = self._known()
        if known is None:
            async with self._reading:
                known = self._known() or await self._read()
        return known

    def _known(self) -> ssl.SSLContext | None:
        """What was read, if the file is as it was then."""
        return self._context if self._signature == self._signature_now() else None

    def _signature_now(self) -> Signature | None:
        return signature_of(Path(self._ca_file)) if self._ca_file is not None else None

    async def _read(self) -> ssl.SSLContext:
        signature = self._signature_now()
        try:
            self._context = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        except RuntimeError as error:  # the system's limit
            raise UpstreamError("no thread could be started to read whom to trust") from error
        except OSError as error:  # an SSLError, too, is one
            why = "it is not a PEM certificate file" if isinstance(error, ssl.SSLError) else error.strerror
            if self._context is None:
                raise UpstreamError(f"its ca_file cannot be used: {why}") from error
            log.error("%s: cannot be used: %s; keeping the previous certificates", self._ca_file, why)
        self._signature = signature
        return self._context


class Trusts:
    """One for each file, for as long as an upstream is verified against it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str | None, Trust] = WeakValueDictionary()

    def of(self, ca_file: str | None) -> Trust:
        """That of a file; None: the system's."""
        return self._known.setdefault(ca_file, Trust(ca_file))


class TlsConnection(UpstreamConnection):
    """Treats an end without a close_notify as an error, where a plain connection would just end.

    A FIN can come from anybody on the way (RFC 9112 9.8), so what came may be half of the answer. Event loops do not
    tell the two apart.
    """

    _said_goodbye = False

    def eof_received(self) -> None:
        tls: ssl.SSLObject = self.transport.get_extra_info("ssl_object")
        try:
            self._said_goodbye = tls.read(1) == b""
        except ssl.SSLError:
            return  # it waits for more: there was no close_notify

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and not self._said_goodbye:
            exc = ConnectionError("TLS ended without a close_notify")
        super().connection_lost(exc)
