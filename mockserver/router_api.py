"""The endpoints only a router has: its models, loading and unloading them, and its own properties."""

import asyncio
from typing import Any

from aiohttp import web

from mockserver.answering import body_of, json_answer
from mockserver.clock import Clock
from mockserver.errors import ApiError
from mockserver.fleet import Fleet, Member, Status
from mockserver.settings import BUILD_INFO, Settings
from mockserver.sse import data_event

FLEET = web.AppKey("fleet", Fleet)
ROUTER = web.AppKey("router", Settings)


def _shown(member: Member) -> dict[str, Any]:
    return {
        "id": member.name,
        "aliases": [],
        "tags": [],
        "object": "model",
        "owned_by": "llamacpp",
        "created": Clock().unix(),
        "status": {"value": member.status.value, "args": []},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "source": member.source,
        "can_remove": member.source == "cache",
    }


async def models(request: web.Request) -> web.Response:
    """`GET /models`."""
    fleet = request.app[FLEET]
    return json_answer({"data": [_shown(member) for member in fleet.members.values()], "object": "list"})


async def _name(request: web.Request) -> str:
    body = await body_of(request)
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise ApiError(400, "model name is missing from the request")
    return name


async def load(request: web.Request) -> web.Response:
    """`POST /models/load`: answers at once, loads in the background."""
    request.app[FLEET].load(await _name(request))
    return json_answer({"success": True})


async def unload(request: web.Request) -> web.Response:
    """`POST /models/unload`."""
    request.app[FLEET].unload(await _name(request))
    return json_answer({"success": True})


async def download(request: web.Request) -> web.Response:
    """`POST /models`: the model is there at once."""
    name, fleet = await _name(request), request.app[FLEET]
    if name in fleet.members:
        raise ApiError(400, "model already exists")
    fleet.members[name] = Member(name)
    for listener in fleet.listeners:
        listener.put_nowait({"model": name, "event": "download_finished", "data": {}})
    return json_answer({"success": True})


async def remove(request: web.Request) -> web.Response:
    """`DELETE /models?model=`."""
    fleet = request.app[FLEET]
    member = fleet.find(request.query.get("model", ""))
    if member.state is not Status.UNLOADED:
        fleet.unload(member.name)
    del fleet.members[member.name]
    for listener in fleet.listeners:
        listener.put_nowait({"model": member.name, "event": "model_remove", "data": {}})
    return json_answer({"success": True})


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /models/sse`: every change of a status, as it happens."""
    fleet = request.app[FLEET]
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    fleet.listeners.add(queue)
    try:
        await response.prepare(request)
        while True:
            await response.write(data_event(await queue.get()))
    finally:
        fleet.listeners.discard(queue)


async def props(request: web.Request) -> web.Response:
    """`GET /props` without a model: the router's own."""
    settings = request.app[ROUTER]
    return json_answer(
        {
            "role": "router",
            "max_instances": settings.models_max,
            "models_autoload": settings.models_autoload,
            "model_alias": "llama-server",
            "model_path": "none",
            "default_generation_settings": {"params": None, "n_ctx": 0},
            "ui_settings": {},
            "build_info": BUILD_INFO,
            "cors_proxy_enabled": settings.ui_mcp_proxy,
        }
    )
