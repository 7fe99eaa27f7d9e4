"""A Refusal becomes a response: the contract's JSON, and the end of a connection that is not safe to read on."""

from aiohttp import hdrs, web

from gateway.core import errors
from gateway.core.endpoints import is_anthropic_path
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Exchange
from gateway.core.http.headers import ALWAYS, request_id_fields
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.response_writer import in_one_piece
from gateway.telemetry.access_log import AccessLog

_JSON = "application/json; charset=utf-8"
_CLOSING = {row.reason for row in (errors.BAD_REQUEST, errors.EXPECTATION, errors.DRAINING)}


class Refuser:
    """Answers what is refused, by either way in. `anthropic_errors`: on Anthropic's paths in Anthropic's envelope."""

    def __init__(self, access: AccessLog, *, anthropic_errors: bool) -> None:
        self._access = access
        self._anthropic_errors = anthropic_errors

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """The response to a refused request. It closes the connection where what follows is not safe to read."""
        response = self._response(request[EXCHANGE], refusal, request)
        if request.method == hdrs.METH_HEAD:
            request[EXCHANGE].bytes_out = 0
        # What is left of this request, or of what only looked like one, must not be read as the next.
        if not request.content.is_eof() or _closes(refusal) or request.method == "CONNECT":
            response.force_close()
        elif request.content.exception() is None:
            request.content.read_nowait()  # and dropped: the connection would keep it until its next request
        return response

    def refuse_unread(self, exchange: Exchange, refusal: Refusal) -> web.Response:
        """The response to bytes that are not an HTTP request. It repeats none of them."""
        exchange.status = refusal.row.status
        response = self._response(exchange, refusal)
        response.force_close()
        return response

    def refuse_at_once(self, exchange: Exchange, refusal: Refusal, connection: ClientConnection) -> None:
        """Write, as aiohttp would, the refusal of a request that has been received whole, and note it."""
        body = self._body(refusal, exchange.endpoint or "")
        self._access.note_refusal(exchange, refusal, len(body))
        exchange.status = refusal.row.status
        fields = _headers(exchange, refusal)
        if _closes(refusal):
            fields[hdrs.CONNECTION] = "close"
        connection.send(in_one_piece(refusal.row.status, fields, body))
        if _closes(refusal) and connection.transport is not None:
            connection.transport.close()

    def _response(self, exchange: Exchange, refusal: Refusal, request: web.Request | None = None) -> web.Response:
        body = self._body(refusal, "" if request is None else request.rel_url.raw_path)
        self._access.note_refusal(exchange, refusal, len(body), request)
        return web.Response(status=refusal.row.status, body=body, headers=_headers(exchange, refusal))

    def _body(self, refusal: Refusal, path: str) -> bytes:
        """The JSON for a client that asked for `path`, with its base URL or without."""
        return refusal.anthropic_body if self._anthropic_errors and is_anthropic_path(path) else refusal.body


REFUSER = web.AppKey("refuser", Refuser)


def _headers(exchange: Exchange, refusal: Refusal) -> dict[str, str]:
    named = request_id_fields(exchange.id)
    return {**ALWAYS, **exchange.cors.fields, **refusal.headers, **named, hdrs.CONTENT_TYPE: _JSON}


def _closes(refusal: Refusal) -> bool:
    return refusal.row.reason in _CLOSING
