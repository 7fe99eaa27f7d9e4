"""The table of llama-server's endpoints: method, path, handler.

Mirrors tools/server/server.cpp.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from mockserver.api import (
    anthropic_api,
    embedding_api,
    native_api,
    openai_api,
    proxy_api,
    resumable_stream_api,
    slots_api,
    status_api,
)
from mockserver.server.router import router_api

PUBLIC = frozenset({"/health", "/v1/health", "/"})
"""Paths that need no key."""

NEEDS_NO_MODEL = PUBLIC | {"/v1/stream", "/v1/streams/lookup", "/cors-proxy", "/tools"}
"""Paths that have nothing to do with the model, and are answered while it sleeps or wakes."""

ANSWERED_ASLEEP = NEEDS_NO_MODEL | {"/props", "/models", "/v1/models", "/metrics"}
"""Paths that a sleeping server answers without waking; while it wakes, those about the model wait as any other."""

_EITHER: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/health", native_api.health),
    ("GET", "/models", openai_api.models),
    ("POST", "/chat/completions", openai_api.chat_completions),
    ("POST", "/chat/completions/input_tokens", openai_api.chat_input_tokens),
    ("POST", "/responses", openai_api.responses),
    ("POST", "/responses/input_tokens", openai_api.responses_input_tokens),
    ("POST", "/audio/transcriptions", native_api.transcriptions),
    ("POST", "/rerank", embedding_api.rerank),
    ("POST", "/reranking", embedding_api.rerank),
)
"""Endpoints that exist with and without `/v1`."""

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    *_EITHER,
    *((method, f"/v1{path}", handler) for method, path, handler in _EITHER),
    ("POST", "/v1/completions", openai_api.completions),
    ("POST", "/v1/messages", anthropic_api.messages),
    ("POST", "/v1/messages/count_tokens", anthropic_api.count_tokens),
    ("POST", "/v1/embeddings", embedding_api.embeddings),
    ("POST", "/embedding", embedding_api.native_embeddings),
    ("POST", "/embeddings", embedding_api.native_embeddings),
    ("POST", "/completion", native_api.completion),
    ("POST", "/completions", native_api.completion),
    ("POST", "/infill", native_api.infill),
    ("POST", "/v1/chat/completions/control", native_api.control),
    ("POST", "/v1/systemone", native_api.systemone),
    ("POST", "/tokenize", native_api.tokenize),
    ("POST", "/detokenize", native_api.detokenize),
    ("POST", "/apply-template", native_api.apply_template),
    ("GET", "/props", status_api.get_props),
    ("POST", "/props", status_api.set_props),
    ("GET", "/slots", status_api.slots),
    ("POST", "/slots/{id_slot:[^/]*}{end:/?}", slots_api.act),
    ("GET", "/metrics", status_api.metrics),
    ("GET", "/v1/stream", resumable_stream_api.resume),
    ("DELETE", "/v1/stream", resumable_stream_api.stop),
    ("POST", "/v1/streams/lookup", resumable_stream_api.look_up),
    ("GET", "/cors-proxy", proxy_api.proxy),
    ("POST", "/cors-proxy", proxy_api.proxy),
    ("GET", "/tools", proxy_api.tools),
    ("POST", "/tools", proxy_api.tools),
    ("GET", "/lora-adapters", status_api.get_lora),
    ("POST", "/lora-adapters", status_api.set_lora),
)


async def _router_props(request: web.Request) -> web.StreamResponse:
    """A router's properties are its own, unless the query names a model."""
    handler: Handler = status_api.get_props if "model" in request.query else router_api.props
    return await handler(request)


ROUTER_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/health", native_api.health),
    ("GET", "/v1/health", native_api.health),
    ("GET", "/models", router_api.models),
    ("GET", "/v1/models", router_api.models),
    ("GET", "/props", _router_props),
    ("GET", "/cors-proxy", proxy_api.proxy),
    ("POST", "/cors-proxy", proxy_api.proxy),
    ("GET", "/tools", proxy_api.tools),
    ("POST", "/tools", proxy_api.tools),
    ("POST", "/models", router_api.download),
    ("DELETE", "/models", router_api.remove),
    ("POST", "/models/load", router_api.load),
    ("POST", "/models/unload", router_api.unload),
    ("GET", "/models/sse", router_api.events),
    ("GET", "/v1/stream", resumable_stream_api.resume),
    ("DELETE", "/v1/stream", resumable_stream_api.stop),
    ("POST", "/v1/streams/lookup", resumable_stream_api.look_up),
)
"""What a router answers itself; all else goes to the model a request names."""
