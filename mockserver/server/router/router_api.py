"""The endpoints only a router has: its models, loading and unloading them, and its own properties.

Mirrors tools/server/server-models.cpp (`server_models_routes`).
"""

from typing import Any

from aiohttp import web

from mockserver.api.send_results import json_body, json_response
from mockserver.api.shapes.sse import data_event
from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import text_of
from mockserver.core.options import BUILD_INFO, Options
from mockserver.engine.model.model_info import ARCHITECTURE
from mockserver.server.faults.fault_middleware import CLOCK
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.router.router_model import RouterModel

MODEL_POOL = web.AppKey("model_pool", ModelPool)
ROUTER_OPTIONS = web.AppKey("router_options", Options)


def _shown(model: RouterModel, now: int) -> dict[str, Any]:
    """What is said of a model; `now` is the time of day in seconds."""
    preset = model.preset
    status = {"value": model.status.value, "args": preset.arguments(), "preset": preset.as_ini()}
    shown = {
        "id": model.name,
        "aliases": preset.listed("alias"),
        "tags": preset.listed("tags"),
        "object": "model",
        "owned_by": "llamacpp",
        "created": now,
        "status": status,
        "architecture": ARCHITECTURE,
        "source": preset.source,
        "can_remove": preset.source == "cache",
    }
    return shown | {name: value for name, value in model.info.items() if model.is_running and name not in shown}


async def models(request: web.Request) -> web.Response:
    """`GET /models`; with `?reload=1` the presets are read again before."""
    model_pool = request.app[MODEL_POOL]
    if request.query.get("reload"):
        model_pool.reload()
    now = request.app[CLOCK].unix()
    shown = [_shown(model, now) for model in model_pool.models() if not model.preset.hidden]
    return json_response({"data": shown, "object": "list"})


async def _name(request: web.Request) -> str:
    return text_of(await json_body(request), "model")


def _required(name: str) -> str:
    if not name:
        raise ApiError(400, "model must be a non-empty string")
    return name


async def load(request: web.Request) -> web.Response:
    """`POST /models/load`: answers at once, loads in the background."""
    request.app[MODEL_POOL].load(await _name(request))
    return json_response({"success": True})


async def unload(request: web.Request) -> web.Response:
    """`POST /models/unload`."""
    request.app[MODEL_POOL].unload(await _name(request))
    return json_response({"success": True})


async def download(request: web.Request) -> web.Response:
    """`POST /models`: answers at once, downloads (or rather waits) in the background."""
    request.app[MODEL_POOL].download(_required(await _name(request)))
    return json_response({"success": True})


async def remove(request: web.Request) -> web.Response:
    """`DELETE /models?model=`."""
    request.app[MODEL_POOL].remove(_required(request.query.get("model", "")))
    return json_response({"success": True})


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /models/sse`: every change of a status, as it happens."""
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    with request.app[MODEL_POOL].events.subscribe() as queue:
        await response.prepare(request)
        while True:
            await response.write(data_event(await queue.get()))


async def props(request: web.Request) -> web.Response:
    """`GET /props` without a model: the router's own."""
    options = request.app[ROUTER_OPTIONS]
    return json_response(
        {
            "role": "router",
            "max_instances": options.models_max,
            "models_autoload": options.models_autoload,
            "model_alias": "llama-server",
            "model_path": "none",
            "default_generation_settings": {"params": None, "n_ctx": 0},
            "ui_settings": {},
            "build_info": BUILD_INFO,
            "cors_proxy_enabled": options.ui_mcp_proxy,
        }
    )
