"""A Refusal becomes a response: the contract's JSON, and the end of a connection that is not safe to read on."""

from aiohttp import hdrs, web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Exchange
from gateway.core.headers import ALWAYS, request_id_fields
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.response_writer import in_one_piece
from gateway.telemetry.access_log import AccessLog

_JSON = "application/json; charset=utf-8"
_CLOSING = {row.reason for row in (errors.BAD_REQUEST, errors.EXPECTATION, errors.DRAINING)}


def refuse(access: AccessLog, request: web.Request, refusal: Refusal) -> web.Response:
    """The response to a refused request. It closes the connection where what follows is not safe to read."""
    response = _response(access, request[EXCHANGE], refusal)
    if request.method == hdrs.METH_HEAD:
        request[EXCHANGE].bytes_out = 0
    # What is left of this request, or of what only looked like one, must not be read as the next.
    if not request.content.is_eof() or _closes(refusal) or request.method == "CONNECT":
        response.force_close()
    return response


def refuse_unread(access: AccessLog, exchange: Exchange, refusal: Refusal) -> web.Response:
    """The response to bytes that are not an HTTP request. It repeats none of them."""
    exchange.status = refusal.row.status
    response = _response(access, exchange, refusal)
    response.force_close()
    return response


def refuse_at_once(access: AccessLog, exchange: Exchange, refusal: Refusal, connection: ClientConnection) -> None:
    """Write, as aiohttp would, the refusal of a request that has been received whole, and note it."""
    access.note_refusal(exchange, refusal)
    exchange.status = refusal.row.status
    fields = _headers(exchange, refusal)
    if _closes(refusal):
        fields[hdrs.CONNECTION] = "close"
    connection.send(in_one_piece(refusal.row.status, fields, refusal.body))
    if _closes(refusal) and connection.transport is not None:
        connection.transport.close()


def _response(access: AccessLog, exchange: Exchange, refusal: Refusal) -> web.Response:
    access.note_refusal(exchange, refusal)
    return web.Response(status=refusal.row.status, body=refusal.body, headers=_headers(exchange, refusal))


def _headers(exchange: Exchange, refusal: Refusal) -> dict[str, str]:
    named = request_id_fields(exchange.id)
    return {**ALWAYS, **exchange.cors.fields, **refusal.headers, **named, hdrs.CONTENT_TYPE: _JSON}


def _closes(refusal: Refusal) -> bool:
    return refusal.row.reason in _CLOSING
