"""llama-server's own endpoints: completion, infill, tokens, templates, and how the server is doing.

Mirrors tools/server/server-context.cpp (`server_routes`).
"""

from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response, send_results
from mockserver.api.shapes.native_completion import NativeCompletionShape
from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_bool, as_ints, as_text, at, contains, value_or
from mockserver.engine.request import prompts


async def health(_request: web.Request) -> web.Response:
    """`GET /health`."""
    return json_response({"status": "ok"})


async def completion(request: web.Request) -> web.StreamResponse:
    """`POST /completion`."""
    return await _complete(request, await json_body(request))


async def _complete(request: web.Request, body: Any) -> web.StreamResponse:
    server_context = request[SERVER_CONTEXT]
    tasks, _ = chat_request.completion_tasks(server_context, body)
    return await send_results(request, tasks, NativeCompletionShape(server_context))


async def infill(request: web.Request) -> web.StreamResponse:
    """`POST /infill`: the prefix, the suffix and the extra files make the prompt."""
    server_context = request[SERVER_CONTEXT]
    if not server_context.options.infill:
        missing = "".join(f"{name} token is missing. " for name in ("prefix", "suffix", "middle"))
        raise ApiError(501, f"Infill is not supported by this model: {missing}")
    body = await json_body(request)
    vocabulary, extra = server_context.vocabulary, _extra_context(body)
    tokens = [
        prompts.mixed(vocabulary, at(body, name), add_special=False, parse_special=False)
        for name in ("input_prefix", "input_suffix")
    ]
    prefix, suffix = map(vocabulary.decode, tokens)
    return await _complete(request, body | {"prompt": extra + suffix + prefix + value_or(body, "prompt", as_text, "")})


def _extra_context(body: Any) -> str:
    chunks = body["input_extra"] if contains(body, "input_extra") else []
    if not isinstance(chunks, list):
        raise ApiError(400, '"input_extra" must be an array of {"filename": string, "text": string}')
    for chunk in chunks:
        if not contains(chunk, "text") or not isinstance(chunk["text"], str):
            raise ApiError(400, 'extra_context chunk must contain a "text" field with a string value')
        if not isinstance(chunk.get("filename", ""), str):
            raise ApiError(400, 'extra_context chunk\'s "filename" field must be a string')
    return "".join(f"{chunk.get('filename', 'tmp')}\n{chunk['text']}\n" for chunk in chunks)


async def tokenize(request: web.Request) -> web.Response:
    """`POST /tokenize`."""
    vocabulary, body = request[SERVER_CONTEXT].vocabulary, await json_body(request)
    if not contains(body, "content"):
        return json_response({"tokens": []})
    tokens = prompts.mixed(
        vocabulary,
        body["content"],
        add_special=value_or(body, "add_special", as_bool, default=False),
        parse_special=value_or(body, "parse_special", as_bool, default=True),
    )
    if not value_or(body, "with_pieces", as_bool, default=False):
        return json_response({"tokens": tokens})
    return json_response({"tokens": [{"id": token, "piece": _piece(vocabulary.piece(token))} for token in tokens]})


def _piece(data: bytes) -> str | list[int]:
    """A token's text, or its bytes when they are only a part of a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


async def detokenize(request: web.Request) -> web.Response:
    """`POST /detokenize`."""
    vocabulary, body = request[SERVER_CONTEXT].vocabulary, await json_body(request)
    tokens = as_ints(body["tokens"]) if contains(body, "tokens") else []
    return json_response({"content": vocabulary.decode(tokens)})


async def apply_template(request: web.Request) -> web.Response:
    """`POST /apply-template`."""
    return json_response({"prompt": chat_request.prompt_of(request[SERVER_CONTEXT], await json_body(request))})


async def transcriptions(_request: web.Request) -> web.Response:
    """`POST /v1/audio/transcriptions`."""
    raise ApiError(501, "The current model does not support audio input.")


async def control(request: web.Request) -> web.Response:
    """`POST /v1/chat/completions/control`: ends the reasoning of an answer that is being generated."""
    body = await json_body(request)
    body = body if isinstance(body, dict) else {}
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise ApiError(400, "missing completion id")
    if body.get("action") != "reasoning_end":
        raise ApiError(400, "unknown control action")
    refusal = request[SERVER_CONTEXT].end_reasoning(body["id"])
    return json_response({"success": False, "message": refusal} if refusal else {"success": True})


async def systemone(_request: web.Request) -> web.Response:
    """`POST /v1/systemone`: the mock's model answers with text only."""
    raise ApiError(501, "This model is not a decision model")
