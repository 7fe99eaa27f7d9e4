"""The OpenAI endpoints: chat completions, text completions, responses, token counts, models."""

from itertools import product
from typing import Any

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, answer, body_of, json_answer
from mockserver.api.shapes.chat_completion import ChatCompletionShape
from mockserver.api.shapes.openai_response import OpenAIResponseShape
from mockserver.api.shapes.text_completion import TextCompletionShape
from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import kind
from mockserver.engine.model import tokenizer
from mockserver.engine.model.model_info import model_info
from mockserver.engine.request import params, prompts
from mockserver.engine.request.to_chat_completion import from_responses
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    machine, body = request[SERVER_CONTEXT], await body_of(request)
    tasks, options = chat_request.read(machine, body)
    return await answer(request, tasks, ChatCompletionShape(machine, body), stream=bool(options.shown["stream"]))


async def responses(request: web.Request) -> web.StreamResponse:
    """`POST /v1/responses`."""
    machine, body = request[SERVER_CONTEXT], from_responses(await body_of(request))
    tasks, options = chat_request.read(machine, body)
    return await answer(request, tasks[:1], OpenAIResponseShape(machine), stream=bool(options.shown["stream"]))


def completion_tasks(machine: ServerContext, body: Any) -> tuple[list[Task], params.TaskParams]:
    """The tasks of a completion body, native or OpenAI's; raises ApiError 400."""
    if not isinstance(body, dict):
        raise ApiError(400, f"[json.exception.type_error.304] cannot use at() with {kind(body)}")
    if "prompt" not in body:
        raise ApiError(400, "[json.exception.out_of_range.403] key 'prompt' not found")
    inputs = prompts.many(body["prompt"])
    wanted = chat_request.constraints(machine, body)
    wanted.continues = True
    options = params.read(body, machine.settings)
    answers = product(inputs, range(options.choices))
    return [Task(tokens, options, i, choice, wanted) for i, (tokens, choice) in enumerate(answers)], options


async def completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/completions`."""
    machine, body = request[SERVER_CONTEXT], await body_of(request)
    if isinstance(body, dict) and body.get("echo"):
        raise ApiError(400, "Only no echo is supported")
    tasks, options = completion_tasks(machine, body)
    return await answer(request, tasks, TextCompletionShape(machine), stream=bool(options.shown["stream"]))


def _count(text: str) -> web.Response:
    count = len(tokenizer.encode(text, add_bos=True))
    return json_answer({"input_tokens": count, "object": "response.input_tokens"})


async def chat_input_tokens(request: web.Request) -> web.Response:
    """`POST /v1/chat/completions/input_tokens`."""
    return _count(chat_request.prompt_of(request[SERVER_CONTEXT], await body_of(request)))


async def responses_input_tokens(request: web.Request) -> web.Response:
    """`POST /v1/responses/input_tokens`."""
    return _count(chat_request.prompt_of(request[SERVER_CONTEXT], from_responses(await body_of(request))))


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`: Ollama's list and OpenAI's in one object."""
    machine = request[SERVER_CONTEXT]
    name = machine.settings.model_name
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
    data = [model_info(machine.settings, machine.clock.unix())]
    return json_answer({"models": models, "object": "list", "data": data})
