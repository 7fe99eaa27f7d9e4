"""Vertex AI's prediction route: several requests of any kind in one body.

Mirrors tools/server/server-http.cpp.
"""

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from mockserver.api.anthropic_api import message_work
from mockserver.api.openai_api import chat_work, completion_work, response_work
from mockserver.api.send_results import SERVER_CONTEXT, collect_results, json_body, json_response
from mockserver.api.shapes.sse import ResponseShape
from mockserver.core.api_errors import ApiError
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext

_WORKS: dict[str, Callable[[ServerContext, Any], tuple[Sequence[Task], ResponseShape]]] = {
    "chatCompletions": chat_work,
    "completions": completion_work,
    "messages": message_work,
    "responses": response_work,
}
"""By `@requestFormat`, what makes tasks of a request and the shape of their answer."""


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
    work = _WORKS.get(form) if isinstance(form, str) else None
    if work is None:
        raise ApiError(400, f'unsupported "@requestFormat": {form}')
    return await collect_results(server_context, *work(server_context, instance))
