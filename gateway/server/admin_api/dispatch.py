"""One request to the admin API, from its path to its answer."""

import asyncio
import logging
import re
from collections.abc import Collection
from functools import cache, partial

from aiohttp import hdrs, web
from pydantic import BaseModel

from gateway.config.document import SourceError
from gateway.core import errors, team_errors
from gateway.core.errors import Refusal
from gateway.proxy.relay import RELAY
from gateway.proxy.request_body import read_short
from gateway.server.admin_api import answers
from gateway.server.admin_api.authentication import Caller, caller_of
from gateway.server.admin_api.event_stream import EVENTS_PATH, event_stream
from gateway.server.admin_api.live_readiness import with_readiness
from gateway.server.admin_api.openapi import description_as_json
from gateway.server.admin_api.request_reading import expected_version, ids_of, read_request
from gateway.server.admission import REGISTRY
from gateway.server.team.team_database import TEAM
from gateway.team.idempotency import Repeatable, perform_once
from gateway.team.operation_error import OperationError
from gateway.team.operations.operation import Call, Operation, perform, require_permission
from gateway.team.operations.table import OPERATIONS

log = logging.getLogger("gateway.team")
IDEMPOTENCY_KEY = "Idempotency-Key"
_PLACE = re.compile(r"\\\{[a-z]+\\\}")


async def answer(request: web.Request, path: str) -> web.StreamResponse:
    """Do what is asked, or say why not. Raises Refusal for a path that is not served, and without a database."""
    method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method  # aiohttp leaves its body out
    if path == "/openapi.json" and method == hdrs.METH_GET:
        return web.json_response(text=await asyncio.to_thread(description_as_json))
    if path == EVENTS_PATH and method != hdrs.METH_GET:
        raise _wrong_method({hdrs.METH_GET})
    operation, ids = _operation_at(method, path) if path != EVENTS_PATH else (None, ())
    try:
        caller = await caller_of(request)
        if operation is None:
            return await event_stream(request, caller.actor)
        done = await _perform(request, caller, operation, ids)
    except OperationError as error:
        return answers.refused(error)
    except SourceError as error:
        log.error("the admin API cannot use the database: %s", error.in_one_line)
        raise Refusal(team_errors.DATABASE_FAILS) from error
    if not operation.is_read:
        request.app[REGISTRY].look_soon()
    return done


async def _perform(
    request: web.Request, caller: Caller, operation: Operation, ids: tuple[str, ...]
) -> web.StreamResponse:
    require_permission(caller.actor, operation)  # what is wrong with a body is told to those who may send it
    database = await request.app[TEAM].database()
    body = await read_short(request, request.app[RELAY].upload_silence) if request.can_read_body else b""
    asked: BaseModel | None = read_request(request, operation, body)
    call = Call(operation, ids_of(ids), asked, expected_version(request, operation))
    key, told = request.headers.get(IDEMPOTENCY_KEY), partial(with_readiness, request.app)
    if key is None or request.method != hdrs.METH_POST:
        return answers.done(operation, told(await perform(database, caller.actor, call)))
    content = b"%b\0%b" % (request.rel_url.raw_path.encode(), body)
    repeatable = Repeatable(answers.checked_idempotency_key(key), caller.credential, content)
    result, again = await perform_once(database, caller.actor, call, repeatable, told)
    return answers.done_once(operation, result, again=again)


def _operation_at(method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
    """What is at this path, compared as it was sent. Raises Refusal: 404, or 405 with the methods there are."""
    found = {}
    for pattern, operation in _patterns():
        match = pattern.fullmatch(path)
        if match is not None:
            found[operation.method] = operation, match.groups()
    if not found:
        raise Refusal(errors.NO_SUCH_PATH)
    if method not in found:
        raise _wrong_method(found)
    return found[method]


def _wrong_method(served: Collection[str]) -> Refusal:
    methods = ", ".join(sorted({*served, hdrs.METH_HEAD} if hdrs.METH_GET in served else served))
    return Refusal(errors.WRONG_METHOD, methods, Allow=methods)


@cache
def _patterns() -> list[tuple[re.Pattern[str], Operation]]:
    return [(re.compile(_PLACE.sub("([^/]+)", re.escape(one.path))), one) for one in OPERATIONS.values()]
