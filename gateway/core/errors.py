"""The contract: every error of the gateway's own, as one table. Its numbers and words are defined nowhere else.

The body is `{"error": {"type": ..., "message": ...}}`, UTF-8, in that key order; the type names are Anthropic's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the contract. `reason` is its name in logs, metrics and on the status page.

    `message` may hold `{detail}`. `headers` are sent with it: SDKs read `Retry-After` (whole seconds) and
    `x-should-retry`.
    """

    reason: str
    status: int
    type: str
    message: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def error_row(reason: str, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> ErrorRow:
    """One row, as this table and that of the team's errors write them."""
    return ErrorRow(reason, status, kind, message, MappingProxyType(headers or {}))


BAD_KEY = error_row(
    "bad_key", 401, "authentication_error", "Invalid API key.", {"WWW-Authenticate": "Bearer", **NO_RETRY}
)
NO_DEPLOYMENT = error_row("no_deployment", 404, "not_found_error", "No deployment found for this endpoint.", NO_RETRY)
_NOT_READY = "Endpoint is not ready (status: {detail}). It may still be deploying or paused."
DEPLOYING = error_row("deploying", 503, "overloaded_error", _NOT_READY, {"Retry-After": "5", "x-should-retry": "true"})
PAUSED = error_row("paused", 503, "overloaded_error", _NOT_READY, {"Retry-After": "30", "x-should-retry": "true"})
UNREACHABLE = error_row(
    "unreachable",
    502,
    "api_error",
    "The model endpoint is unreachable right now. It may be restarting — try again in a moment.",
    {"Retry-After": "1", "x-should-retry": "true"},
)

# Beyond those of the contract, in the same shape.
BAD_REQUEST = error_row(
    "bad_request", 400, "invalid_request_error", "The request is not valid HTTP: {detail}.", NO_RETRY
)
EMPTY_BODY = error_row("empty_body", 400, "invalid_request_error", "The request body is empty.", NO_RETRY)
NO_SUCH_PATH = error_row("no_such_path", 404, "not_found_error", "Nothing is served at this path.{detail}", NO_RETRY)
NOT_ENABLED = error_row(
    "not_enabled", 404, "not_found_error", "This endpoint is not enabled for this deployment: {detail}", NO_RETRY
)
NO_MODEL = error_row("no_model", 404, "not_found_error", "The model server has no model of this name.", NO_RETRY)
WRONG_METHOD = error_row(
    "wrong_method", 405, "invalid_request_error", "This path is served for {detail} only.", NO_RETRY
)
FOREIGN_ORIGIN = error_row(
    "foreign_origin",
    403,
    "permission_error",
    "Web pages of this origin may not call the gateway: server.cors_origins does not name it.",
    NO_RETRY,
)
SLOW_UPLOAD = error_row("slow_upload", 408, "timeout_error", "The request body did not arrive in time.")
TOO_LARGE = error_row(
    "too_large", 413, "request_too_large", "The request body exceeds the limit of {detail} bytes.", NO_RETRY
)
ENCODED_BODY = error_row(
    "encoded_body", 415, "invalid_request_error", "Send the request body without Content-Encoding.", NO_RETRY
)
EXPECTATION = error_row(
    "expectation", 417, "invalid_request_error", "The only supported expectation is 100-continue.", NO_RETRY
)
MISDIRECTED = error_row(
    "misdirected", 421, "invalid_request_error", "This page is not served under that host name.", NO_RETRY
)
FAULT = error_row("fault", 500, "api_error", "The gateway failed on this request. Its log names the fault.")
DRAINING = error_row(
    "draining",
    503,
    "overloaded_error",
    "The gateway is shutting down.",
    {"Retry-After": "1", "x-should-retry": "true"},
)
BUSY = error_row(
    "busy",
    503,
    "overloaded_error",
    "Too many requests are waiting for this endpoint.",
    {"Retry-After": "1", "x-should-retry": "true"},
)
RATE_LIMITED = error_row(
    "rate_limited", 429, "rate_limit_error", "Rate limit reached: {detail}.", {"x-should-retry": "true"}
)
BUDGET_SPENT = error_row("budget_spent", 429, "rate_limit_error", "Budget used up: {detail}.", NO_RETRY)
TIMED_OUT = error_row(
    "timed_out",
    504,
    "timeout_error",
    "The model server sent no answer within the time limit.",
    NO_RETRY,  # SDKs repeat a 5xx, and the model server would do all the work again
)
ENDED = error_row("ended", 403, "permission_error", "An administrator has ended this request.", NO_RETRY)

# For the error event of a broken stream; the status has long been sent by then.
CUT = error_row("upstream_cut", 502, "api_error", "The model endpoint broke off in the middle of its answer.")
SILENT = error_row(
    "upstream_silent", 504, "timeout_error", "The model endpoint fell silent in the middle of its answer."
)

CONTRACT = (BAD_KEY, NO_DEPLOYMENT, DEPLOYING, PAUSED, UNREACHABLE)
FURTHER = (
    BAD_REQUEST,
    EMPTY_BODY,
    NO_SUCH_PATH,
    NOT_ENABLED,
    NO_MODEL,
    WRONG_METHOD,
    FOREIGN_ORIGIN,
    SLOW_UPLOAD,
    TOO_LARGE,
    ENCODED_BODY,
    EXPECTATION,
    MISDIRECTED,
    FAULT,
    DRAINING,
    BUSY,
    RATE_LIMITED,
    BUDGET_SPENT,
    TIMED_OUT,
    ENDED,
    CUT,
    SILENT,
)


class Refusal(Exception):
    """An error of the gateway's own, on its way to the client as JSON.

    `detail` fills the row's message. `cause` is for the operator, in log and status page, and never in the answer.
    """

    def __init__(self, row: ErrorRow, detail: object = "", *, cause: str = "", **headers: str) -> None:
        super().__init__(row.reason, cause)
        self.row = row
        self.message = row.message.format(detail=detail)
        self.cause = cause
        self.headers = {**row.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}

    @property
    def body(self) -> bytes:
        """The JSON body, exactly as it goes on the wire."""
        return error_body(self.row.type, self.message)

    @property
    def anthropic_body(self) -> bytes:
        """The same in Anthropic's envelope: `{"type": "error", "error": {"type": ..., "message": ...}}`."""
        return b'{"type": "error", ' + self.body[1:]


def error_body(kind: str, message: str) -> bytes:
    """`{"error": {"type": kind, "message": message}}` in UTF-8."""
    return json.dumps({"error": {"type": kind, "message": message}}, ensure_ascii=False).encode()
