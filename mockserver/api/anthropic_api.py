"""Anthropic's endpoints: messages, plain and streamed, and the token count."""

from aiohttp import web

from mockserver.api import chat_request
from mockserver.api.send_results import SERVER_CONTEXT, answer, body_of, json_answer
from mockserver.api.shapes.anthropic_message import AnthropicMessageShape
from mockserver.engine.model import tokenizer
from mockserver.engine.request.to_chat_completion import from_anthropic


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    machine, body = request[SERVER_CONTEXT], from_anthropic(await body_of(request))
    tasks, options = chat_request.read(machine, body)
    return await answer(request, tasks[:1], AnthropicMessageShape(machine), stream=bool(options.shown["stream"]))


async def count_tokens(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`."""
    text = chat_request.prompt_of(request[SERVER_CONTEXT], from_anthropic(await body_of(request)))
    return json_answer({"input_tokens": len(tokenizer.encode(text, add_bos=True))})
