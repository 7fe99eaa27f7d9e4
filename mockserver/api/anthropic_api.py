"""Anthropic's endpoints: messages, plain and streamed, and the token count.

Mirrors tools/server/server-context.cpp (`server_routes`).
"""

from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response, send_results
from mockserver.api.shapes.anthropic_message import AnthropicMessageShape
from mockserver.engine.request.messages_to_chat import from_messages
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    return await send_results(request, *message_work(request[SERVER_CONTEXT], await json_body(request)))


def message_work(server_context: ServerContext, body: Any) -> tuple[list[Task], AnthropicMessageShape]:
    """The tasks of a body of messages, and the shape of their answer; raises ApiError."""
    tasks, params = chat_request.tasks_of(server_context, from_messages(body))
    return tasks, AnthropicMessageShape(server_context, params.completion_id)


async def count_tokens(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`."""
    server_context = request[SERVER_CONTEXT]
    text = chat_request.prompt_of(server_context, from_messages(await json_body(request)))
    return json_response({"input_tokens": len(server_context.vocabulary.encode(text, add_special=True))})
