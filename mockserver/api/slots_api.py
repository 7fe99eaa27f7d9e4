"""`POST /slots/{id}?action=save|restore|erase`: a slot's cache to a file and back."""

import json
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response
from mockserver.core.api_errors import ApiError
from mockserver.engine.slots import Slot


async def act(request: web.Request) -> web.Response:
    """Do what `action` says to the slot in the path."""
    server_context = request[SERVER_CONTEXT]
    if not server_context.options.slot_save_path:
        raise ApiError(501, "This server does not support slots action. Start it with `--slot-save-path`")
    number = request.match_info["id_slot"]
    if not number.isdecimal():
        raise ApiError(400, "Invalid slot ID")
    slot = server_context.pool.slots[int(number) % len(server_context.pool.slots)]
    action = request.query.get("action", "")
    if action == "erase":
        erased, slot.cache = len(slot.cache), []
        return json_response({"id_slot": slot.id, "n_erased": erased})
    if action not in ("save", "restore"):
        raise ApiError(400, "Invalid action")
    body = await json_body(request)
    name = body.get("filename") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name or "/" in name or "\0" in name or name.startswith("."):
        raise ApiError(400, "Invalid filename")
    file = Path(server_context.options.slot_save_path) / name
    return json_response(_save(slot, file) if action == "save" else _restore(slot, file))


def _save(slot: Slot, file: Path) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        written = file.write_text(json.dumps(slot.cache))
    except OSError as error:
        raise ApiError(500, "Unable to save slot") from error
    took = {"save_ms": (time.perf_counter() - started) * 1000}
    return {
        "id_slot": slot.id,
        "filename": file.name,
        "n_saved": len(slot.cache),
        "n_written": written,
        "timings": took,
    }


def _restore(slot: Slot, file: Path) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        text = file.read_text()
        slot.cache = [int(token) for token in json.loads(text)]
    except (OSError, ValueError, TypeError) as error:
        raise ApiError(
            400, "Unable to restore slot, no available space in KV cache or invalid slot save file"
        ) from error
    took = {"restore_ms": (time.perf_counter() - started) * 1000}
    return {
        "id_slot": slot.id,
        "filename": file.name,
        "n_restored": len(slot.cache),
        "n_read": len(text),
        "timings": took,
    }
