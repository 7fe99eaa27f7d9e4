"""Anthropic's endpoints: messages, plain and streamed, and the token count."""

from aiohttp import web

from mockserver.api import chat
from mockserver.api.answering import MACHINE, answer, body_of, json_answer
from mockserver.api.shapes.messages_shape import MessagesShape
from mockserver.engine.model import tokenizer
from mockserver.engine.request.conversion import from_anthropic


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    machine, body = request[MACHINE], from_anthropic(await body_of(request))
    tasks, options = chat.read(machine, body)
    return await answer(request, tasks[:1], MessagesShape(machine), stream=bool(options.shown["stream"]))


async def count_tokens(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`."""
    text = chat.prompt_of(request[MACHINE], from_anthropic(await body_of(request)))
    return json_answer({"input_tokens": len(tokenizer.encode(text, add_bos=True))})
