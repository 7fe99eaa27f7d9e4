"""A connection to an upstream over TLS: who ends it has to say so, or what came may be half of it."""

import ssl

from gateway.connection import Connection


class TlsConnection(Connection):
    """Breaks, where a plain connection would end, if TLS has not been closed by a close_notify.

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
