"""The errors of the admin API and of the team's pages, in the contract's shape; model clients never meet them.

What is said in place of `{detail}` comes from the operation that was not done.
"""

from types import MappingProxyType

from gateway.core.errors import ErrorRow

_NO_RETRY = {"x-should-retry": "false"}


def _row(reason: str, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> ErrorRow:
    return ErrorRow(reason, status, kind, message, MappingProxyType(headers or {}))


BAD_TOKEN = _row(
    "bad_token",
    401,
    "authentication_error",
    "Send a valid admin token as `Authorization: Bearer gwa_...`, or sign in.",
    {"WWW-Authenticate": "Bearer", **_NO_RETRY},
)
NOT_PERMITTED = _row("not_permitted", 403, "permission_error", "{detail}", _NO_RETRY)
FOREIGN_PAGE = _row(
    "foreign_page", 403, "permission_error", "This change was asked for by a page of another site.", _NO_RETRY
)
NO_SUCH_THING = _row("no_such_thing", 404, "not_found_error", "{detail}", _NO_RETRY)
NO_DATABASE = _row(
    "no_database",
    409,
    "invalid_request_error",
    "This gateway reads its deployments and keys from a YAML file, which only its editor changes. Move them into a "
    "database with `gguf-gateway import`.",
    _NO_RETRY,
)
CONFLICT = _row("conflict", 409, "invalid_request_error", "{detail}", _NO_RETRY)
STALE = _row("stale", 412, "invalid_request_error", "{detail}", _NO_RETRY)
NOT_JSON = _row("not_json", 415, "invalid_request_error", "Send the body as application/json.", _NO_RETRY)
INVALID_FIELDS = _row("invalid_fields", 422, "invalid_request_error", "{detail}", _NO_RETRY)
TOO_MANY_SIGN_INS = _row("too_many_sign_ins", 429, "rate_limit_error", "{detail}")
DATABASE_FAILS = _row(
    "database_fails",
    503,
    "api_error",
    "The database cannot be used right now; the gateway's log says why.",
    {"Retry-After": "1", "x-should-retry": "true"},
)
TEAM: tuple[ErrorRow, ...] = (
    BAD_TOKEN,
    NOT_PERMITTED,
    FOREIGN_PAGE,
    NO_SUCH_THING,
    NO_DATABASE,
    CONFLICT,
    STALE,
    NOT_JSON,
    INVALID_FIELDS,
    TOO_MANY_SIGN_INS,
    DATABASE_FAILS,
)
