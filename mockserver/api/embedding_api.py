"""Embeddings, OpenAI's and the native form, and reranking, Jina's and TEI's form.

Mirrors tools/server/server-context.cpp (`handle_embeddings_impl`, `post_rerank`) and tools/server/server-common.cpp
(`format_embeddings_response_oaicompat`, `format_response_rerank`).
"""

import base64
import struct
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response
from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_bool, as_int, as_text, as_texts, contains, value_or
from mockserver.core.options import Options
from mockserver.engine.model.embedding import embed, normalised, relevance, token_vectors
from mockserver.engine.model.tokenizer import BOS, EOS
from mockserver.engine.request import prompts
from mockserver.engine.server_context import ServerContext
from mockserver.play.journal_middleware import abort_response

_EUCLIDEAN = 2


async def embeddings(request: web.Request) -> web.Response:
    """`POST /v1/embeddings`."""
    _require(request[SERVER_CONTEXT].options.makes_embeddings, "embeddings", "--embeddings")
    if request[SERVER_CONTEXT].options.pooling_type == "none":
        raise ApiError(400, "Pooling type 'none' is not OAI compatible. Please use a different pooling type")
    return await _embeddings(request, openai=True)


async def native_embeddings(request: web.Request) -> web.Response:
    """`POST /embedding`."""
    _require(request[SERVER_CONTEXT].options.makes_embeddings, "embeddings", "--embeddings")
    return await _embeddings(request, openai=False)


async def _embeddings(request: web.Request, *, openai: bool) -> web.Response:
    server_context, body = request[SERVER_CONTEXT], await json_body(request)
    if not contains(body, "input") and not contains(body, "content"):
        raise ApiError(400, '"input" or "content" must be provided')
    in_base64 = _asks_for_base64(body)
    inputs = _inputs(server_context, body["input"] if "input" in body else body["content"])
    norm = as_int(body["embd_normalize"]) if "embd_normalize" in body else _EUCLIDEAN
    await server_context.process_all(inputs)
    vectors = [_vectors(server_context.options, tokens, norm) for tokens in inputs]
    if not openai or "input" not in body:
        return json_response([{"index": index, "embedding": rows} for index, rows in enumerate(vectors)])
    data = [_entry(index, rows[0], in_base64=in_base64) for index, rows in enumerate(vectors)]
    return json_response(_listed(server_context, body, "data", data, inputs))


def _asks_for_base64(body: Any) -> bool:
    name = as_text(body["encoding_format"]) if "encoding_format" in body else "float"
    if name not in ("float", "base64"):
        raise ApiError(400, "The format to return the embeddings in. Can be either float or base64")
    return name == "base64"


def _inputs(server_context: ServerContext, value: Any) -> list[list[int]]:
    """The token lists of an input."""
    inputs = [_tokens(server_context, item) for item in (value if prompts.is_list_of_prompts(value) else [value])]
    if not inputs:
        raise ApiError(400, '"input" must not be empty')
    if not all(inputs):
        raise ApiError(400, "Input content cannot be empty")
    return inputs


def _tokens(server_context: ServerContext, value: Any) -> list[int]:
    if contains(value, "content"):
        return prompts.content(server_context.vocabulary, value["content"])
    return prompts.one(server_context.vocabulary, value)


def _vectors(options: Options, tokens: Sequence[int], norm: int) -> list[list[float]]:
    """One vector for each token, or one for all."""
    if options.pooling_type == "none":
        return token_vectors(tokens)
    return [normalised(embed(tokens, options.pooling_type), norm)]


def _entry(index: int, vector: list[float], *, in_base64: bool) -> dict[str, Any]:
    if not in_base64:
        return {"embedding": vector, "index": index, "object": "embedding"}
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {"embedding": packed, "index": index, "object": "embedding", "encoding_format": "base64"}


async def rerank(request: web.Request) -> web.Response:
    """`POST /v1/rerank`; the answer has TEI's form when the body says `texts`."""
    server_context = request[SERVER_CONTEXT]
    _require(server_context.options.reranking, "reranking", "--reranking")
    body = await json_body(request)
    query, documents = _query_and_documents(body)
    most = value_or(body, "top_n", as_int, len(documents))
    inputs = [_pair(server_context, query, text) for text in documents]
    if not all(inputs):
        abort_response(request)  # an assertion fails: llama-server ends without a word
    await server_context.process_all(inputs)
    if most < 0:
        raise ApiError(500, "vector::_M_default_append")
    scored = sorted(enumerate(relevance(query, documents)), key=lambda pair: -pair[1])[:most]
    if not contains(body, "texts"):
        results = [{"index": index, "relevance_score": score} for index, score in scored]
        return json_response(_listed(server_context, body, "results", results, inputs))
    with_text = value_or(body, "return_text", as_bool, default=False)
    return json_response(
        [
            {"index": index, "score": score, **({"text": documents[index]} if with_text else {})}
            for index, score in scored
        ]
    )


def _query_and_documents(body: Any) -> tuple[str, list[str]]:
    if not contains(body, "query"):
        raise ApiError(400, '"query" must be provided')
    if not isinstance(body["query"], str):
        raise ApiError(400, '"query" must be a string')
    texts = value_or(body, "texts", as_texts, list[str]())
    documents = value_or(body, "documents", as_texts, texts)
    if not documents:
        raise ApiError(400, '"documents" must be a non-empty string array')
    return body["query"], documents


def _pair(server_context: ServerContext, query: str, text: str) -> list[int]:
    """The tokens of a query and a document (`format_prompt_rerank`)."""
    vocabulary = server_context.vocabulary
    before, after = [BOS] if vocabulary.adds_bos else [], [EOS] if vocabulary.adds_eos else []
    question = vocabulary.encode(query, parse_special=False)
    return [*before, *question, *after, *vocabulary.encode(text, parse_special=False), *after]


def _listed(
    server_context: ServerContext, body: Any, name: str, items: list[Any], inputs: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """What OpenAI's and Jina's answers have around their lists."""
    count = sum(map(len, inputs))
    return {
        "model": value_or(body, "model", as_text, server_context.options.model_name),
        "object": "list",
        "usage": {"prompt_tokens": count, "total_tokens": count},
        name: items,
    }


def _require(enabled: bool, what: str, option: str) -> None:
    if not enabled:
        raise ApiError(501, f"This server does not support {what}. Start it with `{option}`")
