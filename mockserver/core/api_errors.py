"""The errors a llama-server answers with: one exception, one table of types, two key orders.

Mirrors tools/server/server-common.cpp (`format_error_response`).
"""

from typing import Any

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    500: "server_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


PHRASES = {413: "Payload Too Large", 416: "Range Not Satisfiable"}
"""The words behind a status where cpp-httplib has others than Python."""


class ApiError(Exception):
    """An error answer. `extra` fields follow code, message and type.

    A message ends where it has a null: an exception of C++ says what it has to say as a C string.
    """

    def __init__(self, code: int, message: str, kind: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message.partition("\0")[0]
        self.kind = kind or TYPES[code]
        self.extra = extra

    def fields(self) -> dict[str, Any]:
        """The inner object, in the order of llama.cpp."""
        return {"code": self.code, "message": self.message, "type": self.kind, **self.extra}


def too_long(prompt: int, context: int) -> ApiError:
    """The refusal of a prompt that does not fit a slot."""
    message = f"request ({prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
    return ApiError(400, message, "exceed_context_size_error", n_prompt_tokens=prompt, n_ctx=context)


def too_large(prompt: int, batch: int) -> ApiError:
    """The refusal of an input that has to be processed in one batch, and does not fit it."""
    message = (
        f"input ({prompt} tokens) is too large to process. increase the physical batch size "
        f"(current batch size: {batch})"
    )
    return ApiError(500, message)


def larger_than_context(prompt: int, context: int) -> ApiError:
    """The refusal of an input that has to be processed in one batch, fits that, and does not fit a slot."""
    message = f"input ({prompt} tokens) is larger than the max context size ({context} tokens). skipping"
    return ApiError(400, message, "exceed_context_size_error", n_prompt_tokens=prompt, n_ctx=context)


def front_door(code: int, message: str) -> dict[str, Any]:
    """The body of an error decided before any handler ran; these put the message first."""
    return {"error": {"message": message, "type": TYPES[code], "code": code}}


LOADING = front_door(503, "Loading model")
NOT_FOUND = front_door(404, "File Not Found")
INVALID_KEY = front_door(401, "Invalid API Key")
