"""Vertex AI's prediction route: several requests of any kind in one body.

Mirrors tools/server/server-http.cpp.
"""

from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, collect_results, json_body, json_response
from mockserver.api.shapes.anthropic_message import AnthropicMessageShape
from mockserver.api.shapes.chat_completion import ChatCompletionShape
from mockserver.api.shapes.openai_response import OpenAIResponseShape
from mockserver.api.shapes.text_completion import TextCompletionShape
from mockserver.core.api_errors import ApiError
from mockserver.engine.request.messages_to_chat import from_messages
from mockserver.engine.request.responses_to_chat import from_responses
from mockserver.engine.server_context import ServerContext


async def predict(request: web.Request) -> web.Response:
    """`POST /predict` with `AIP_MODE=PREDICTION`."""
    body = await json_body(request)
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or not instances:
        raise ApiError(400, '"instances" must be a non-empty array')
    server_context = request[SERVER_CONTEXT]
    return json_response({"predictions": [await _predict(server_context, instance) for instance in instances]})


async def _predict(server_context: ServerContext, instance: Any) -> Any:
    """One prediction, by the API that its `@requestFormat` names."""
    form = instance.get("@requestFormat") if isinstance(instance, dict) else None
    if form == "chatCompletions":
        tasks, params = chat_request.tasks_of(server_context, instance)
        shape = ChatCompletionShape(server_context, params.completion_id, instance)
        return await collect_results(server_context, tasks, shape)
    if form == "completions":
        tasks, params = chat_request.completion_tasks(server_context, instance)
        return await collect_results(server_context, tasks, TextCompletionShape(server_context, params.completion_id))
    if form == "messages":
        tasks, params = chat_request.tasks_of(server_context, from_messages(instance))
        return await collect_results(server_context, tasks, AnthropicMessageShape(server_context, params.completion_id))
    if form == "responses":
        tasks, _ = chat_request.tasks_of(server_context, from_responses(instance))
        return await collect_results(server_context, tasks, OpenAIResponseShape(server_context))
    raise ApiError(400, f'unsupported "@requestFormat": {form}')
