"""`GET /events`: every change, and every change of readiness, as server-sent events to whoever may see it.

A change has its number in the audit log as its `id`: who comes back with that as `Last-Event-ID` gets what was missed.
"""

import asyncio
from collections.abc import Iterable
from time import monotonic

import orjson
from aiohttp import hdrs, web

from gateway.config.document import SourceError
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Ending
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.activity.watchers import WATCHERS
from gateway.server.admin_api.authentication import caller_of
from gateway.server.admission import REGISTRY
from gateway.server.team.team_database import TEAM
from gateway.team.actor import Actor
from gateway.team.change_feed import Seen, changes_after, newest_change
from gateway.team.models.audit import AuditRow
from gateway.team.operation_error import Conflict, FieldError, Invalid

EVENTS_PATH = "/events"
ACTION, SCOPE = "events.watch", "events:read"
LAST_EVENT_ID = "Last-Event-ID"
_LOOK_SECONDS = 0.4  # between two looks: what a caller may no longer see, it must not see a second later
_KEEPALIVE_SECONDS = 15.0
_MOST_STREAMS = 20  # of one caller, in one process: a hundred, which cost a client nothing, would take half a core
_HEADERS = {hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}


async def event_stream(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Tell until the client leaves, its token or session ends, or the gateway stops.

    Raises Denied, Invalid, and Conflict for who has very many streams.
    """
    actor.require_scope(SCOPE)
    actor.reach(ACTION)
    seen = _last_event_id(request)
    if seen is None:
        seen = await newest_change(await request.app[TEAM].database())
    response = web.StreamResponse(headers=_HEADERS)
    if request.method == hdrs.METH_HEAD:
        return response
    watchers = request.app[WATCHERS]
    if watchers.number_of(actor.id) >= _MOST_STREAMS:
        raise Conflict(f"{_MOST_STREAMS} streams of events are open for you already: close one of them first.")
    async with watchers.until_closed(request, actor.id):
        await _tell(request, response, seen)
    return response


async def _tell(request: web.Request, response: web.StreamResponse, seen: int) -> None:
    try:
        await response.prepare(request)
        request[EXCHANGE].first_byte_at = monotonic()
        await _Telling(request, response, seen).go_on()
    except ConnectionError:  # that the request is cancelled, too, comes a moment later
        request[EXCHANGE].ending = Ending.CLIENT_LEFT


class _Telling:
    """What one client has been told."""

    def __init__(self, request: web.Request, response: web.StreamResponse, seen: int) -> None:
        self._request = request
        self._response = response
        self._seen = Seen(seen)
        self._readiness: dict[str, str] = {}
        self._written_at = monotonic()

    async def go_on(self) -> None:
        """Look again and again; who asks is asked each time, too."""
        await self._write([b"retry: 1000\n\n"])
        while True:
            try:
                # Not cancelled with the stream, as its client leaves or the gateway stops: what is cancelled once more
                # before the database's driver has let go of it never is, and an event loop waits for it at its end.
                actor, rows = await asyncio.shield(self._look())
            except Refusal:
                return
            except SourceError:  # locked, or gone: the next look may find it again
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            await self._write(map(_change, rows))
            await self._write(self._news_of_readiness(actor))
            if not rows:
                await self._keep_alive()
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> tuple[Actor, list[AuditRow]]:
        caller = await caller_of(self._request, still=True)
        return caller.actor, await changes_after(await self._request.app[TEAM].database(), caller.actor, self._seen)

    def _news_of_readiness(self, actor: Actor) -> list[bytes]:
        """An event for each deployment within reach whose readiness is another than was told; null if it is gone."""
        app = self._request.app
        served = app[REGISTRY].snapshot.deployments.values()
        mine = {one.id: one for one in served if actor.sees_account(ACTION, one.account)}
        found = {name: app[READINESS].status(one).value for name, one in mine.items()}
        news = [_readiness(name, value) for name, value in found.items() if self._readiness.get(name) != value]
        news += [_readiness(name, None) for name in self._readiness.keys() - found.keys()]
        self._readiness = found
        return news

    async def _keep_alive(self) -> None:
        if monotonic() - self._written_at >= _KEEPALIVE_SECONDS:
            await self._write([b": still here\n\n"])

    async def _write(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await self._response.write(piece)
            self._request[EXCHANGE].bytes_out += len(piece)
            self._written_at = monotonic()
            await asyncio.sleep(0)  # to write does not always wait


def _last_event_id(request: web.Request) -> int | None:
    text = request.headers.get(LAST_EVENT_ID)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Invalid("Last-Event-ID is none of ours.", [FieldError(LAST_EVENT_ID, "is no number")])
    return int(text)


def _change(row: AuditRow) -> bytes:
    return b"id: %d\nevent: change\ndata: %b\n\n" % (row.id, row.model_dump_json().encode())


def _readiness(deployment: str, readiness: str | None) -> bytes:
    return b"event: readiness\ndata: %b\n\n" % orjson.dumps({"deployment": deployment, "readiness": readiness})
