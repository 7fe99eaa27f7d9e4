"""What is proxied, and nothing else: one table of (method, path)."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ApiProtocol(StrEnum):
    """Whose conventions an endpoint follows; decides how a stream that breaks says so."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


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
PREFIX = "/api/gguf/"  # then come a deployment's id and the path of an endpoint
ENDPOINTS = MappingProxyType({endpoint.path: endpoint for endpoint in _TABLE})
