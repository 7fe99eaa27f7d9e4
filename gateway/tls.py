"""A connection to an upstream over TLS: without a close_notify at its end, an answer may be truncated."""

import ssl

from gateway.connection import Connection


class TlsConnection(Connection):
    """Treats an end without a close_notify as an error, where a plain connection would just end.

    A FIN can come from anybody on the way (RFC 9112 9.8). Event loops do not tell the two apart.
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
