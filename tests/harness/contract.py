"""The gateway's refusals as its documentation promises them, written down again so that a change there is seen."""

from dataclasses import dataclass

from tests.harness.sockets.wire_client import Response

_SOON = (("Retry-After", "1"), ("x-should-retry", "true"))


@dataclass(frozen=True)
class Promise:
    """One refusal: status, body, and the headers that tell a client what to do next."""

    status: int
    type: str
    message: str
    headers: tuple[tuple[str, str], ...] = (("x-should-retry", "false"),)

    @property
    def body(self) -> bytes:
        return f'{{"error": {{"type": "{self.type}", "message": "{self.message}"}}}}'.encode()

    def is_kept_by(self, response: Response, *, enveloped: bool = False) -> bool:
        """Whether an answer is this refusal, to the byte, or in Anthropic's envelope. Fails with what differs."""
        assert response.status == self.status, (response.head, response.body[:300])
        assert response.body == (b'{"type": "error", ' + self.body[1:] if enveloped else self.body)
        assert response.whole
        assert response.header("Content-Type") == "application/json; charset=utf-8"
        for name, value in self.headers:
            assert response.header(name) == value, name
        return True


BAD_KEY = Promise(
    401, "authentication_error", "Invalid API key.", (("WWW-Authenticate", "Bearer"), ("x-should-retry", "false"))
)
NO_DEPLOYMENT = Promise(404, "not_found_error", "No deployment found for this endpoint.")
NO_SUCH_PATH = Promise(404, "not_found_error", "Nothing is served at this path.")
FOREIGN_ORIGIN = Promise(
    403,
    "permission_error",
    "Web pages of this origin may not call the gateway: server.cors_origins does not name it.",
)
EMPTY_BODY = Promise(400, "invalid_request_error", "The request body is empty.")
ENCODED_BODY = Promise(415, "invalid_request_error", "Send the request body without Content-Encoding.")
EXPECTATION = Promise(417, "invalid_request_error", "The only supported expectation is 100-continue.")
_NOT_READY = "Endpoint is not ready (status: {}). It may still be deploying or paused."
DEPLOYING = Promise(
    503, "overloaded_error", _NOT_READY.format("deploying"), (("Retry-After", "5"), ("x-should-retry", "true"))
)
PAUSED = Promise(
    503, "overloaded_error", _NOT_READY.format("paused"), (("Retry-After", "30"), ("x-should-retry", "true"))
)
UNREACHABLE = Promise(
    502,
    "api_error",
    "The model endpoint is unreachable right now. It may be restarting — try again in a moment.",
    _SOON,
)
DRAINING = Promise(503, "overloaded_error", "The gateway is shutting down.", _SOON)
BUSY = Promise(  # when it may come again depends on how long others had their places before
    503, "overloaded_error", "Too many requests are waiting for this endpoint.", (("x-should-retry", "true"),)
)
TIMED_OUT = Promise(504, "timeout_error", "The model server sent no answer within the time limit.")
SLOW_UPLOAD = Promise(408, "timeout_error", "The request body did not arrive in time.", ())


def wrong_method(allow: str) -> Promise:
    """405, with what is allowed."""
    message = f"This path is served for {allow} only."
    return Promise(405, "invalid_request_error", message, (("Allow", allow), ("x-should-retry", "false")))


def one_slip_off(base: str) -> Promise:
    """404 for a path that a client with another base URL would not have asked for; `base` is how the right one ends."""
    return Promise(404, "not_found_error", f"{NO_SUCH_PATH.message} The base URL of this client has to end in {base}")


def not_enabled(detail: str) -> Promise:
    """404 for an endpoint of a group that the deployment does not enable."""
    return Promise(404, "not_found_error", f"This endpoint is not enabled for this deployment: {detail}")


def too_large(limit: int) -> Promise:
    """413, naming the limit in bytes."""
    return Promise(413, "request_too_large", f"The request body exceeds the limit of {limit} bytes.")


def bad_request(detail: str) -> Promise:
    """400 for what is no proper HTTP."""
    return Promise(400, "invalid_request_error", f"The request is not valid HTTP: {detail}.")


def is_a_refusal(response: Response, *statuses: int) -> bool:
    """Whether an answer is a refusal in the contract's shape, of one of these statuses. Fails with what differs."""
    assert response.status in statuses, (response.head, response.body[:300])
    error = response.json()
    assert list(error) == ["error"]
    assert list(error["error"]) == ["type", "message"]
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert response.whole
    return True
