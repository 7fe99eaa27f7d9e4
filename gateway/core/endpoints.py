"""What is proxied, and nothing else: one table of (method, path), in groups that a deployment can enable.

`NEVER` is the rest of llama-server, each with its reason. A test compares both with the routes in llama.cpp's
tools/server/server.cpp.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from urllib.parse import unquote

from gateway.core.http.json_answers import one_model, without_paths


class ApiProtocol(StrEnum):
    """Whose conventions an endpoint follows; decides how a stream that breaks says so."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class EndpointGroup(StrEnum):
    """What a deployment enables or leaves out as a whole: the two protocols, and llama-server's own endpoints."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    NATIVE = "native"


OPENAI, ANTHROPIC, NATIVE = EndpointGroup
DEFAULT_GROUPS = (OPENAI, ANTHROPIC)


class LastWord(StrEnum):
    """What an event stream has to end with to be whole; `gateway/proxy/last_words.py` recognises it.

    As llama-server sends it: tools/server/server-context.cpp (`handle_completions_impl`) and server-task.cpp.
    """

    DONE = "[DONE]"
    MESSAGE_STOP = "message_stop"
    RESPONSE_OVER = "response.completed, or response.incomplete or response.failed"
    STOP = '"stop":true'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One proxied endpoint. `path` follows the deployment's base URL, and is the path asked of the upstream.

    `upstream_path` is asked instead, where it is set. `rewrite` makes the body that is sent of the body of a 200; it
    raises ValueError for one that it does not understand, and Refusal. `own`: the gateway answers, from what it knows.
    `takes_slot`: llama-server makes a task of it that waits for a slot, where its model reads or writes; whatever makes
    none never waits in line, and uses no tokens. `last_word` is what its streams end with; None where there are none.
    """

    method: str
    path: str
    group: EndpointGroup = OPENAI
    protocol: ApiProtocol = ApiProtocol.OPENAI
    upstream_path: str = ""
    rewrite: Callable[[bytes], bytes] | None = field(default=None, compare=False)
    own: bool = False
    takes_slot: bool = True
    last_word: LastWord | None = None

    @property
    def has_body(self) -> bool:
        """Whether a request to it has a body."""
        return self.method == "POST"

    @property
    def is_plain(self) -> bool:
        """Whether its answers are the upstream's, byte for byte: only then may it be asked on the fast path."""
        return self.rewrite is None and not self.own

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it is served for: HEAD wherever GET is (RFC 9110 9.3.2)."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


_MODELS = "/v1/models"
_MODEL = Endpoint(
    "GET", "/v1/models/{model}", upstream_path=_MODELS, rewrite=partial(one_model, name=""), takes_slot=False
)
_TABLE = (
    Endpoint("POST", "/v1/chat/completions", last_word=LastWord.DONE),
    Endpoint("POST", "/v1/chat/completions/input_tokens", takes_slot=False),
    Endpoint("POST", "/v1/completions", last_word=LastWord.DONE),
    Endpoint("POST", "/v1/embeddings"),
    Endpoint("POST", "/v1/responses", last_word=LastWord.RESPONSE_OVER),
    Endpoint("POST", "/v1/responses/input_tokens", takes_slot=False),
    Endpoint("POST", "/v1/audio/transcriptions", last_word=LastWord.DONE),
    Endpoint("POST", "/v1/rerank"),
    Endpoint("GET", _MODELS, takes_slot=False),
    _MODEL,
    Endpoint("POST", "/v1/messages", ANTHROPIC, ApiProtocol.ANTHROPIC, last_word=LastWord.MESSAGE_STOP),
    Endpoint("POST", "/v1/messages/count_tokens", ANTHROPIC, ApiProtocol.ANTHROPIC, takes_slot=False),
    Endpoint("POST", "/completion", NATIVE, last_word=LastWord.STOP),
    Endpoint("POST", "/completions", NATIVE, last_word=LastWord.STOP),
    Endpoint("POST", "/v1/chat/completions/control", NATIVE, takes_slot=False),
    Endpoint("POST", "/infill", NATIVE, last_word=LastWord.STOP),
    Endpoint("POST", "/embedding", NATIVE),
    Endpoint("POST", "/embeddings", NATIVE),
    Endpoint("POST", "/rerank", NATIVE),
    Endpoint("POST", "/reranking", NATIVE),
    Endpoint("POST", "/v1/reranking", NATIVE),
    Endpoint("POST", "/v1/systemone", NATIVE),
    Endpoint("POST", "/tokenize", NATIVE, takes_slot=False),
    Endpoint("POST", "/detokenize", NATIVE, takes_slot=False),
    Endpoint("POST", "/apply-template", NATIVE, takes_slot=False),
    Endpoint("GET", "/props", NATIVE, rewrite=without_paths, takes_slot=False),
    Endpoint("GET", "/health", NATIVE, own=True, takes_slot=False),
    Endpoint("GET", "/v1/health", NATIVE, own=True, takes_slot=False),
)
PREFIX = "/api/gguf/"  # then come a deployment's id and the path of an endpoint
ENDPOINTS = MappingProxyType({endpoint.path: endpoint for endpoint in _TABLE})

_OTHER_SPELLING = "the same as below `/v1`; one spelling is enough, and the 404 names the base URL"
_OTHERS_ANSWERS = "would hand out, or stop, the answers of other clients, by an id that they chose"
_ROUTER = "loads, unloads, fetches or deletes models for everybody"
_ANY_URL = "makes the server fetch any URL"
_COMMANDS = "runs tools on the server's machine"
NEVER = MappingProxyType(
    {
        "GET /slots": "shows what other clients are asking",
        "POST /slots/:id_slot": "saves, restores and erases prompts of other clients on the server's disk",
        "GET /metrics": "counts what all clients do, and each look changes what the operator's own Prometheus sees",
        "POST /props": "changes the server for everybody",
        "GET /lora-adapters": "shows paths of the server's disk",
        "POST /lora-adapters": "changes the model for everybody",
        "GET /v1/stream": _OTHERS_ANSWERS,
        "DELETE /v1/stream": _OTHERS_ANSWERS,
        "POST /v1/streams/lookup": _OTHERS_ANSWERS,
        "POST /models": _ROUTER,
        "DELETE /models": _ROUTER,
        "POST /models/load": _ROUTER,
        "POST /models/unload": _ROUTER,
        "GET /models/sse": "shows which models other clients use",
        "GET /tools": _COMMANDS,
        "POST /tools": _COMMANDS,
        "GET /cors-proxy": _ANY_URL,
        "POST /cors-proxy": _ANY_URL,
        "POST /predict": "reaches every other endpoint by a name in its body",
        "GET /": "is the page of llama-server's own, with all of its settings",
        "GET /models": _OTHER_SPELLING,
        "POST /chat/completions": _OTHER_SPELLING,
        "POST /chat/completions/input_tokens": _OTHER_SPELLING,
        "POST /responses": _OTHER_SPELLING,
        "POST /responses/input_tokens": _OTHER_SPELLING,
        "POST /audio/transcriptions": _OTHER_SPELLING,
    }
)

# `/v1/messages` and all below it, served or not; and the same where a base URL has a `/v1` or a slash too many or few.
_ANTHROPIC_PATH = re.compile(rf"(?:{PREFIX}[^/]*)?/+(?:v1/+)*messages(?:/.*)?", re.DOTALL).fullmatch


def endpoint_at(path: str) -> Endpoint | None:
    """The endpoint at a path below a base URL, as it was sent, still percent-encoded; None if there is none."""
    found = ENDPOINTS.get(path)
    if found is None and path.startswith(f"{_MODELS}/"):
        name = unquote(path.removeprefix(f"{_MODELS}/"))
        if name.isprintable() and "/" not in path[len(_MODELS) + 1 :] and name.strip("."):
            return replace(_MODEL, rewrite=partial(one_model, name=name))
    return None if found is _MODEL else found


def is_anthropic_path(path: str) -> bool:
    """Whether a client that asks for this path, with or without a base URL's before it, speaks Anthropic's API."""
    return _ANTHROPIC_PATH(path) is not None
