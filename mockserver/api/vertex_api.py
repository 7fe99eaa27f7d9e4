"""Vertex AI's prediction route: several requests of any kind in one body."""

from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.openai_api import completion_tasks
from mockserver.api.send_results import SERVER_CONTEXT, body_of, gather, json_answer
from mockserver.api.shapes.anthropic_message import AnthropicMessageShape
from mockserver.api.shapes.chat_completion import ChatCompletionShape
from mockserver.api.shapes.openai_response import OpenAIResponseShape
from mockserver.api.shapes.text_completion import TextCompletionShape
from mockserver.core.api_errors import ApiError
from mockserver.engine.request.to_chat_completion import from_anthropic, from_responses
from mockserver.engine.server_context import ServerContext


async def predict(request: web.Request) -> web.Response:
    """`POST /predict` with `AIP_MODE=PREDICTION`."""
    body = await body_of(request)
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or not instances:
        raise ApiError(400, '"instances" must be a non-empty array')
    machine = request[SERVER_CONTEXT]
    return json_answer({"predictions": [await _predict(machine, instance) for instance in instances]})


async def _predict(machine: ServerContext, instance: Any) -> Any:
    """One prediction, by the API that its `@requestFormat` names."""
    form = instance.get("@requestFormat") if isinstance(instance, dict) else None
    if form == "chatCompletions":
        return await gather(machine, chat_request.read(machine, instance)[0], ChatCompletionShape(machine, instance))
    if form == "completions":
        return await gather(machine, completion_tasks(machine, instance)[0], TextCompletionShape(machine))
    if form == "messages":
        tasks, _ = chat_request.read(machine, from_anthropic(instance))
        return await gather(machine, tasks, AnthropicMessageShape(machine))
    if form == "responses":
        tasks, _ = chat_request.read(machine, from_responses(instance))
        return await gather(machine, tasks, OpenAIResponseShape(machine))
    raise ApiError(400, f'unsupported "@requestFormat": {form}')
