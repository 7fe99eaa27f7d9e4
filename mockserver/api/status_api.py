"""How the server is doing and what it was started with: `/props`, `/slots`, `/metrics`, `/lora-adapters`.

Mirrors tools/server/server-context.cpp (`server_routes`).
"""

from typing import Any

from aiohttp import web

from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response
from mockserver.core.api_errors import ApiError
from mockserver.core.options import BUILD_INFO
from mockserver.engine.model import lora
from mockserver.engine.request.schema import task_params
from mockserver.engine.scheduling.slots import Slot
from mockserver.engine.server_context import ServerContext

_CAPABILITIES = (
    *("supports_object_arguments", "supports_parallel_tool_calls", "supports_preserve_reasoning"),
    *("supports_reasoning_effort", "supports_string_content", "supports_system_role"),
    *("supports_tool_calls", "supports_tools", "supports_typed_content"),
)
_ALWAYS = frozenset(("supports_string_content", "supports_system_role"))


async def get_props(request: web.Request) -> web.Response:
    """`GET /props`."""
    server_context = request[SERVER_CONTEXT]
    options = server_context.options
    of_tasks = {"reasoning_format": "none", "max_tokens": -1, "n_predict": -1, "n_keep": 0}  # not of the command line
    shown = task_params.TaskParams(task_params.defaults(options) | of_tasks).short()
    able = {name: name in _ALWAYS or server_context.template.thinks for name in _CAPABILITIES}
    return json_response(
        {
            "default_generation_settings": {"params": shown, "n_ctx": options.slot_context},
            "total_slots": options.slots,
            "model_alias": options.model_name,
            "model_ftype": "(guessed) all F32",
            "model_path": options.model_path,
            "modalities": {"vision": False, "video": False, "audio": False},
            "media_marker": server_context.media_marker,
            "endpoint_slots": options.slots_endpoint,
            "endpoint_props": options.props_endpoint,
            "endpoint_metrics": options.metrics_endpoint,
            "ui": True,
            "ui_settings": {},
            "chat_template": server_context.template.source,
            "chat_template_caps": able,
            "bos_token": server_context.vocabulary.bos,
            "eos_token": server_context.vocabulary.eos,
            "build_info": BUILD_INFO,
            "is_sleeping": server_context.is_asleep,
            "cors_proxy_enabled": options.ui_mcp_proxy,
        }
    )


async def set_props(request: web.Request) -> web.Response:
    """`POST /props`: changes nothing, in the real one too."""
    if not request[SERVER_CONTEXT].options.props_endpoint:
        raise ApiError(501, "This server does not support changing global properties. Start it with `--props`")
    return json_response({"success": True})


async def slots(request: web.Request) -> web.Response:
    """`GET /slots`."""
    server_context = request[SERVER_CONTEXT]
    if not server_context.options.slots_endpoint:
        raise ApiError(501, "This server does not support slots endpoint. Start it with `--slots`")
    server_context.responses.note_result()
    if request.query.get("fail_on_no_slot") and server_context.pool.busy == server_context.options.slots:
        raise ApiError(503, "no slot available")
    return json_response([_slot(server_context, slot) for slot in server_context.pool.slots])


def _slot(server_context: ServerContext, slot: Slot) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": slot.id,
        "n_ctx": server_context.options.slot_context,
        "speculative": False,
        "is_processing": slot.busy,
    }
    if slot.task is None:
        return shown
    limit = slot.params["n_predict"]
    next_token = {
        "has_next_token": slot.busy,
        "has_new_line": slot.new_line,
        "n_remain": limit - slot.decoded if slot.busy and limit >= 0 else -1,
        "n_decoded": slot.decoded,
    }
    return shown | {
        "id_task": slot.task,
        "n_prompt_tokens": slot.prompt_tokens,
        "n_prompt_tokens_processed": slot.processed_tokens,
        "n_prompt_tokens_cache": slot.cached_tokens,
        "params": slot.params,
        "next_token": [next_token],
    }


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`. A scrape ends the window of the averages."""
    server_context = request[SERVER_CONTEXT]
    if not server_context.options.metrics_endpoint:
        raise ApiError(501, "This server does not support metrics endpoint. Start it with `--metrics`")
    server_context.responses.note_result()
    text = server_context.metrics.scrape(server_context.pool.busy, server_context.pool.deferred)
    headers = {"Process-Start-Time-Unix": str(server_context.started), "Content-Type": "text/plain; version=0.0.4"}
    return web.Response(body=text.encode(), headers=headers)


async def get_lora(request: web.Request) -> web.Response:
    """`GET /lora-adapters`."""
    return json_response(request[SERVER_CONTEXT].adapters.as_json())


async def set_lora(request: web.Request) -> web.Response:
    """`POST /lora-adapters`: scales by id; those not named are switched off."""
    body = await json_body(request)
    if not isinstance(body, list):
        raise ApiError(400, "Request body must be an array")
    request[SERVER_CONTEXT].adapters.set(lora.scales_of(body))
    return json_response({"success": True})
