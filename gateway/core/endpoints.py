"""What is proxied, and nothing else: one table of (method, path)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ApiProtocol(StrEnum):
    """Whose conventions an endpoint follows; decides how a stream that breaks says so."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class LastWord(StrEnum):
    """What an event stream has to end with to be whole; `gateway/proxy/event_stream.py` recognises it.

    As llama-server sends it: tools/server/server-context.cpp (`handle_completions_impl`) and server-task.cpp.
    """

    DONE = "[DONE]"
    MESSAGE_STOP = "message_stop"
    RESPONSE_OVER = "response.completed, or response.incomplete or response.failed"
    STOP = '"stop":true'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One proxied endpoint. `path` follows the deployment's base URL, and is the path asked of the upstream."""

    method: str
    path: str
    protocol: ApiProtocol = ApiProtocol.OPENAI

    @property
    def has_body(self) -> bool:
        """Whether a request to it has a body."""
        return self.method == "POST"

    @property
    def last_word(self) -> LastWord | None:
        """What its streams end with; None where it streams nothing."""
        return _LAST_WORDS.get(self.path)


_TABLE = (
    Endpoint("POST", "/v1/chat/completions"),
    Endpoint("POST", "/v1/completions"),
    Endpoint("POST", "/v1/embeddings"),
    Endpoint("POST", "/v1/messages", ApiProtocol.ANTHROPIC),
    Endpoint("POST", "/v1/messages/count_tokens", ApiProtocol.ANTHROPIC),
    Endpoint("POST", "/v1/responses"),
    Endpoint("POST", "/v1/rerank"),
    Endpoint("GET", "/v1/models"),
)
_LAST_WORDS = {
    "/v1/chat/completions": LastWord.DONE,
    "/v1/completions": LastWord.DONE,
    "/v1/audio/transcriptions": LastWord.DONE,
    "/v1/messages": LastWord.MESSAGE_STOP,
    "/v1/responses": LastWord.RESPONSE_OVER,
    "/completion": LastWord.STOP,
    "/completions": LastWord.STOP,
    "/infill": LastWord.STOP,
}
PREFIX = "/api/gguf/"  # then come a deployment's id and the path of an endpoint
ENDPOINTS = MappingProxyType({endpoint.path: endpoint for endpoint in _TABLE})

# `/v1/messages` and all below it, served or not; and the same where a base URL has a `/v1` or a slash too many or few.
_ANTHROPIC_PATH = re.compile(rf"(?:{PREFIX}[^/]*)?/+(?:v1/+)*messages(?:/.*)?", re.DOTALL).fullmatch


def is_anthropic_path(path: str) -> bool:
    """Whether a client that asks for this path, with or without a base URL's before it, speaks Anthropic's API."""
    return _ANTHROPIC_PATH(path) is not None
