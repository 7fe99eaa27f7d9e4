"""`POST /slots/{id}?action=save|restore|erase`: a slot's cache to a file and back.

Mirrors tools/server/server-context.cpp (`post_slots` and what it calls) and common/common.cpp (`fs_validate_filename`).
"""

import json
import re
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from mockserver.api.send_results import SERVER_CONTEXT, json_body, json_response
from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_text, at
from mockserver.engine.model.tokenizer import VOCABULARY_SIZE
from mockserver.engine.scheduling.slots import Slot
from mockserver.engine.server_context import ServerContext

_NUMBER = re.compile(r"\s*([+-]?\d+)")
_INT_MAX = 2**31 - 1
_LONGEST_NAME = 255
_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f\uff0e\u2215\u2216\ud800-\udfff\ufffd\ufeff:*?"<>|/\\\\]|[.][.]')


async def act(request: web.Request) -> web.Response:
    """Do what `action` says to the slot in the path."""
    server_context = request[SERVER_CONTEXT]
    if not server_context.options.slot_save_path:
        raise ApiError(501, "This server does not support slots action. Start it with `--slot-save-path`")
    number = _number(request.match_info["id_slot"])
    action = request.query.get("action", "")
    if action == "erase":
        return json_response({"id_slot": number, **await _on_slot(server_context, number, _erase)})
    if action not in ("save", "restore"):
        raise ApiError(400, "Invalid action")
    name = as_text(at(await json_body(request), "filename"))
    if not is_file_name(name):
        raise ApiError(400, "Invalid filename")
    file = Path(server_context.options.slot_save_path) / name
    do = _save if action == "save" else _restore
    done = await _on_slot(server_context, number, lambda slot: do(slot, file, server_context.options.slot_context))
    return json_response({"id_slot": number, "filename": name, **done})


def _number(text: str) -> int:
    """The number at the beginning of a text, as `std::stoi` reads it. Raises ApiError 400."""
    found = _NUMBER.match(text)
    if not found or not -_INT_MAX <= int(found[1]) + 1 <= _INT_MAX + 1:
        raise ApiError(400, "Invalid slot ID")
    return int(found[1])


def is_file_name(name: str) -> bool:
    """Whether a name can be that of a file in any directory of any system."""
    if not name or len(name.encode("utf-8", "replace")) > _LONGEST_NAME or _FORBIDDEN.search(name):
        return False
    return name[0] != " " and name[-1] not in " ."


async def _on_slot(server_context: ServerContext, number: int, do: Any) -> dict[str, Any]:
    """Do something to a slot once it is idle. A number too large counts on from the first slot."""
    pool = server_context.pool
    (slot,) = await pool.acquire((), number % 2**64 % len(pool.slots))
    try:
        done: dict[str, Any] = do(slot)
        return done
    finally:
        pool.release(slot)


def _erase(slot: Slot) -> dict[str, Any]:
    erased, slot.cache = len(slot.cache), []
    return {"n_erased": erased}


def _save(slot: Slot, file: Path, _context: int) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        written = file.write_text(json.dumps(slot.cache))
    except OSError as error:
        raise ApiError(500, "Unable to save slot") from error
    took = {"save_ms": (time.perf_counter() - started) * 1000}
    return {"n_saved": len(slot.cache), "n_written": written, "timings": took}


def _restore(slot: Slot, file: Path, context: int) -> dict[str, Any]:
    """Fill a slot's cache; whatever is wrong with the file leaves the slot empty. Raises ApiError 400."""
    started = time.perf_counter()
    slot.cache = []
    try:
        text = file.read_text()
        tokens = [int(token) for token in json.loads(text)]
    except (OSError, ValueError, TypeError) as error:
        raise _unrestored("No available space in KV cache or invalid slot save file") from error
    if len(tokens) > context:
        raise _unrestored("Restored prompt does not fit in the slot context")
    if not all(0 <= token < VOCABULARY_SIZE for token in tokens):
        raise _unrestored("Invalid tokens in slot save file")
    slot.cache = tokens
    took = {"restore_ms": (time.perf_counter() - started) * 1000}
    return {"n_restored": len(tokens), "n_read": len(text), "timings": took}


def _unrestored(why: str) -> ApiError:
    return ApiError(400, f"Unable to restore slot: {why}")
