"""The answers of the admin API: results with their version, and errors in the contract's one shape."""

from collections.abc import Mapping

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel

from gateway.core import team_errors
from gateway.core.errors import ErrorRow
from gateway.team.operation_error import Conflict, Denied, Invalid, NotFound, OperationError, Stale
from gateway.team.operations.operation import Operation

_ROWS: Mapping[type[OperationError], ErrorRow] = {
    Invalid: team_errors.INVALID_FIELDS,
    Denied: team_errors.NOT_PERMITTED,
    NotFound: team_errors.NO_SUCH_THING,
    Conflict: team_errors.CONFLICT,
    Stale: team_errors.STALE,
}
_JSON = "application/json"


def done(operation: Operation, result: BaseModel) -> web.Response:
    """An operation's result."""
    if operation.status == 204:
        return web.Response(status=204)
    headers = _etag(operation, getattr(result, "version", None))
    return web.Response(
        status=operation.status, body=result.model_dump_json().encode(), content_type=_JSON, headers=headers
    )


def done_once(operation: Operation, result: bytes, *, again: bool) -> web.Response:
    """The result, as JSON, of an operation that is done once for each `Idempotency-Key`."""
    if operation.status == 204:
        return web.Response(status=204)
    headers = _etag(operation, orjson.loads(result).get("version"))
    if again:
        headers["Idempotent-Replayed"] = "true"
    return web.Response(status=operation.status, body=result, content_type=_JSON, headers=headers)


def refused(error: OperationError) -> web.Response:
    """`{"error": {"type", "message"}}`, and of a request that is not valid also `errors: [{field, message}]`."""
    row = _ROWS[type(error)]
    body: dict[str, object] = {"error": {"type": row.type, "message": error.message}}
    headers = dict(row.headers)
    if isinstance(error, Invalid):
        body["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
    if isinstance(error, Denied) and error.scope is not None:  # RFC 6750 3.1
        headers[hdrs.WWW_AUTHENTICATE] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    return web.Response(status=row.status, body=orjson.dumps(body), content_type=_JSON, headers=headers)


def checked_idempotency_key(key: str) -> str:
    """The key, if it is one: 1 to 255 printable ASCII characters without spaces. Raises Invalid."""
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable() or " " in key:
        raise Invalid("An Idempotency-Key is 1 to 255 printable ASCII characters, none of them a space.")
    return key


def _etag(operation: Operation, version: int | None) -> dict[str, str]:
    return {hdrs.ETAG: f'"{version}"'} if operation.is_versioned and version is not None else {}
