"""Embeddings, OpenAI's and the native form, and reranking, Jina's and TEI's form."""

import base64
import struct
from typing import Any

from aiohttp import web

from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response
from mockserver.core.api_errors import ApiError
from mockserver.engine.model import tokenizer
from mockserver.engine.model.embedding import embed, relevance, token_vectors
from mockserver.engine.request import chat_messages, prompts
from mockserver.engine.server_context import ServerContext

_NO_INPUT = '"input" or "content" must be provided'


def _inputs(body: Any) -> list[list[int]]:
    """The token lists of an embedding request; raises the 400 of a missing or malformed input."""
    value = body.get("input", body.get("content")) if isinstance(body, dict) else None
    if value is None:
        raise ApiError(400, _NO_INPUT)
    if value == []:
        raise ApiError(400, '"input" must not be empty')
    if isinstance(value, list) and not prompts.is_mixed(value):
        return [_tokens(item) for item in value]
    return [_tokens(value)]


def _tokens(value: Any) -> list[int]:
    if isinstance(value, dict) and "content" in value:
        if not isinstance(value["content"], list):
            raise ApiError(400, '"content" must be an array')
        return tokenizer.encode(chat_messages.text_of(value["content"], separator=""), add_bos=True)
    return prompts.one(value)


def _check_batch(server_context: ServerContext, tokens: list[int]) -> None:
    if len(tokens) > server_context.options.ubatch:
        message = (
            f"input ({len(tokens)} tokens) is too large to process. increase the physical batch size "
            f"(current batch size: {server_context.options.ubatch})"
        )
        raise ApiError(500, message)


async def _process(server_context: ServerContext, inputs: list[list[int]]) -> None:
    """Pass the inputs through a slot, one after another, each at its turn."""
    for tokens in inputs:
        _check_batch(server_context, tokens)
        await server_context.process(tokens)


async def embeddings(request: web.Request) -> web.Response:
    """`POST /v1/embeddings`."""
    server_context = request[SERVER_CONTEXT]
    _require(server_context.options.embeddings, "embeddings", "--embeddings")
    body = await json_body(request)
    if server_context.options.pooling == "none":
        raise ApiError(400, "Pooling type 'none' is not OAI compatible. Please use a different pooling type")
    inputs, encoding = _inputs(body), body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise ApiError(400, "The format to return the embeddings in. Can be either float or base64")
    await _process(server_context, inputs)
    count = sum(map(len, inputs))
    return json_response(
        {
            "model": body.get("model", server_context.options.model_name),
            "object": "list",
            "usage": {"prompt_tokens": count, "total_tokens": count},
            "data": [_entry(index, embed(tokens), encoding) for index, tokens in enumerate(inputs)],
        }
    )


def _entry(index: int, vector: list[float], encoding: str) -> dict[str, Any]:
    if encoding == "float":
        return {"embedding": vector, "index": index, "object": "embedding"}
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {"embedding": packed, "index": index, "object": "embedding", "encoding_format": "base64"}


async def native_embeddings(request: web.Request) -> web.Response:
    """`POST /embedding`."""
    server_context = request[SERVER_CONTEXT]
    _require(server_context.options.embeddings, "embeddings", "--embeddings")
    inputs = _inputs(await json_body(request))
    await _process(server_context, inputs)
    pooled = server_context.options.pooling != "none"
    return json_response(
        [
            {"index": index, "embedding": [embed(tokens)] if pooled else token_vectors(tokens)}
            for index, tokens in enumerate(inputs)
        ]
    )


async def rerank(request: web.Request) -> web.Response:
    """`POST /v1/rerank`; the answer has TEI's form when the body says `texts`."""
    server_context = request[SERVER_CONTEXT]
    _require(server_context.options.reranking, "reranking", "--reranking")
    body = await json_body(request)
    query, documents = _query_and_documents(body)
    pairs = [(tokenizer.encode(query, add_bos=True), tokenizer.encode(text)) for text in documents]
    await _process(server_context, [question + text for question, text in pairs])
    scored = [(index, relevance(query, text)) for index, text in enumerate(documents)]
    scored.sort(key=lambda pair: -pair[1])
    most = body.get("top_n")
    scored = scored[: most if isinstance(most, int) and most >= 0 else len(documents)]
    if "texts" in body:
        with_text = body.get("return_text") is True
        return json_response(
            [
                {"index": index, "score": score, **({"text": documents[index]} if with_text else {})}
                for index, score in scored
            ]
        )
    count = sum(len(question) + len(text) for question, text in pairs)
    return json_response(
        {
            "model": body.get("model", server_context.options.model_name),
            "object": "list",
            "usage": {"prompt_tokens": count, "total_tokens": count},
            "results": [{"index": index, "relevance_score": score} for index, score in scored],
        }
    )


def _query_and_documents(body: Any) -> tuple[str, list[str]]:
    body = body if isinstance(body, dict) else {}
    if "query" not in body:
        raise ApiError(400, '"query" must be provided')
    if not isinstance(body["query"], str):
        raise ApiError(400, '"query" must be a string')
    documents = body.get("documents", body.get("texts"))
    if not isinstance(documents, list) or not documents or not all(isinstance(d, str) for d in documents):
        raise ApiError(400, '"documents" must be a non-empty string array')
    return body["query"], documents


def _require(enabled: bool, what: str, option: str) -> None:
    if not enabled:
        raise ApiError(501, f"This server does not support {what}. Start it with `{option}`")
