"""A connection to an upstream over TLS: which certificates it trusts, and how it ends."""

import logging
import ssl
from pathlib import Path

from gateway.core.file_signature import Signature, signature_of
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.response_head import UpstreamError

log = logging.getLogger("gateway.upstream")


class Trust:
    """Whom an upstream's certificate is verified against: the authorities of a PEM file, or the system's.

    A file that is replaced counts from the next connection on. One that turns bad changes nothing but the log.
    """

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._signature: Signature | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """What a new connection is opened with. Raises UpstreamError if the file was never a good one."""
        signature = signature_of(Path(self._ca_file)) if self._ca_file is not None else None
        if self._context is not None and signature == self._signature:
            return self._context
        self._signature = signature
        try:
            self._context = ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # an SSLError, too, is one
            why = "it is not a PEM certificate file" if isinstance(error, ssl.SSLError) else error.strerror
            if self._context is None:
                raise UpstreamError(f"its ca_file cannot be used: {why}") from error
            log.error("%s: cannot be used: %s; keeping the previous certificates", self._ca_file, why)
        return self._context


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
