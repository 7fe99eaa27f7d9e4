"""The errors of the admin API and of the team's pages, in the contract's shape; model clients never meet them.

What is said in place of `{detail}` comes from the operation that was not done.
"""

from gateway.core.errors import NO_RETRY, ErrorRow, error_row

BAD_TOKEN = error_row(
    "bad_token",
    401,
    "authentication_error",
    "Send a valid admin token as `Authorization: Bearer gwa_...`, or sign in.",
    {"WWW-Authenticate": "Bearer", **NO_RETRY},
)
NOT_PERMITTED = error_row("not_permitted", 403, "permission_error", "{detail}", NO_RETRY)
FOREIGN_PAGE = error_row(
    "foreign_page", 403, "permission_error", "This change was asked for by a page of another site.", NO_RETRY
)
NOT_A_FORM = error_row(
    "not_a_form",
    400,
    "invalid_request_error",
    "The form cannot be read: it is not what its Content-Type says.",
    NO_RETRY,
)
NO_SUCH_THING = error_row("no_such_thing", 404, "not_found_error", "{detail}", NO_RETRY)
NO_DATABASE = error_row(
    "no_database",
    409,
    "invalid_request_error",
    "This gateway reads its deployments and keys from a YAML file, which only its editor changes. Move them into a "
    "database with `gguf-gateway import`.",
    NO_RETRY,
)
CONFLICT = error_row("conflict", 409, "invalid_request_error", "{detail}", NO_RETRY)
STALE = error_row("stale", 412, "invalid_request_error", "{detail}", NO_RETRY)
NOT_JSON = error_row("not_json", 415, "invalid_request_error", "Send the body as application/json.", NO_RETRY)
INVALID_FIELDS = error_row("invalid_fields", 422, "invalid_request_error", "{detail}", NO_RETRY)
TOO_MANY_SIGN_INS = error_row("too_many_sign_ins", 429, "rate_limit_error", "{detail}")
DATABASE_FAILS = error_row(
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
    NOT_A_FORM,
    NO_SUCH_THING,
    NO_DATABASE,
    CONFLICT,
    STALE,
    NOT_JSON,
    INVALID_FIELDS,
    TOO_MANY_SIGN_INS,
    DATABASE_FAILS,
)
