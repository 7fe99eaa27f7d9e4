"""The OpenAI endpoints: chat completions, text completions, responses, token counts, models.

Mirrors tools/server/server-context.cpp (`server_routes`).
"""

from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response, send_results
from mockserver.api.shapes.chat_completion import ChatCompletionShape
from mockserver.api.shapes.openai_response import OpenAIResponseShape
from mockserver.api.shapes.text_completion import TextCompletionShape
from mockserver.engine.model.model_info import model_info
from mockserver.engine.request.responses_to_chat import from_responses
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    return await send_results(request, *chat_work(request[SERVER_CONTEXT], await json_body(request)))


def chat_work(server_context: ServerContext, body: Any) -> tuple[list[Task], ChatCompletionShape]:
    """The tasks of a chat's body, and the shape of their answer; raises ApiError."""
    tasks, params = chat_request.tasks_of(server_context, body)
    return tasks, ChatCompletionShape(server_context, params.completion_id)


async def responses(request: web.Request) -> web.StreamResponse:
    """`POST /v1/responses`."""
    return await send_results(request, *response_work(request[SERVER_CONTEXT], await json_body(request)))


def response_work(server_context: ServerContext, body: Any) -> tuple[list[Task], OpenAIResponseShape]:
    """The same for a body of the responses API."""
    tasks, _ = chat_request.tasks_of(server_context, from_responses(body))
    return tasks, OpenAIResponseShape(server_context)


async def completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/completions`."""
    return await send_results(request, *completion_work(request[SERVER_CONTEXT], await json_body(request)))


def completion_work(server_context: ServerContext, body: Any) -> tuple[list[Task], TextCompletionShape]:
    """The same for the body of a text completion."""
    tasks, params = chat_request.completion_tasks(server_context, body)
    return tasks, TextCompletionShape(server_context, params.completion_id)


def _count(server_context: ServerContext, text: str) -> web.Response:
    count = len(server_context.vocabulary.encode(text, add_special=True))
    return json_response({"input_tokens": count, "object": "response.input_tokens"})


async def chat_input_tokens(request: web.Request) -> web.Response:
    """`POST /v1/chat/completions/input_tokens`."""
    server_context = request[SERVER_CONTEXT]
    return _count(server_context, chat_request.prompt_of(server_context, await json_body(request)))


async def responses_input_tokens(request: web.Request) -> web.Response:
    """`POST /v1/responses/input_tokens`."""
    server_context = request[SERVER_CONTEXT]
    body = from_responses(await json_body(request))
    return _count(server_context, chat_request.prompt_of(server_context, body))


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`: Ollama's list and OpenAI's in one object."""
    server_context = request[SERVER_CONTEXT]
    name = server_context.options.model_name
    details: dict[str, Any] = {
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [""],
        "parameter_size": "",
        "quantization_level": "",
    }
    entry: dict[str, Any] = {"name": name, "model": name, "modified_at": "", "size": "", "digest": ""}
    entry |= {"type": "model", "description": "", "tags": [""], "capabilities": ["completion"]}
    models = [entry | {"parameters": "", "details": details}]
    data = [model_info(server_context.options, server_context.clock.unix())]
    return json_response({"models": models, "object": "list", "data": data})
