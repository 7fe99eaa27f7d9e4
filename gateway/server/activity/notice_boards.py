"""How the workers of a gateway know of each other's requests, and end them: each has a board that the others read.

A worker looks at the boards four times a second. Only while another has asked for it does it write what it carries
there, and what it has refused lately, so that it costs next to nothing while nobody looks. That usage waits for the
database, it writes unasked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from gateway.core.worker_group import WORKER_GROUP, WorkerGroup
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.connection_pools import POOLS, ConnectionPools
from gateway.server.activity.exchanges_under_way import ExchangesUnderWay
from gateway.team.exchanges import CarriedExchange
from gateway.telemetry.access_log import ACCESS, RecentRefusal
from gateway.usage.ledger.ledger import LEDGER

_LOOK_SECONDS = 0.25  # between two looks at the boards: what is ended elsewhere is over within a second
_ASKED_SECONDS = 5.0  # for which a question stands: somebody who looks on asks again before
_PATIENCE_SECONDS = 1.0  # for the boards of all to be written, at the first question

Connections = dict[str, tuple[int, int]]  # by deployment: in use, and requests waiting for one


class Carried(NamedTuple):
    """What all workers carry, and have refused lately, less `silent` ones that have not said in time."""

    exchanges: list[CarriedExchange]
    connections: Connections
    refused: list[RecentRefusal]  # the oldest first
    silent: int = 0


class NoticeBoards:
    """The boards of a group, as one of its workers uses them. A gateway of one process needs none.

    `waits_since` says since when (Unix time) usage of this worker waits for the database; None: it does not.
    `refused` is what this worker has refused lately.
    """

    def __init__(
        self,
        own: ExchangesUnderWay,
        pools: ConnectionPools,
        group: WorkerGroup,
        waits_since: Callable[[], float | None],
        refused: Collection[RecentRefusal],
    ) -> None:
        self._own = own
        self._pools = pools
        self._group = group
        self._waits_since = waits_since
        self._refused = refused
        self._has_told: float | None = -1.0  # unlike all: what a worker of this number told before it died is no more
        self._asked_until = 0.0  # in the monotonic clock, which all processes of a machine share
        self._to_end: dict[str, float] = {}  # until when the others are told so
        self._to_move: dict[str, float] = {}  # to the front of a line

    async def carried(self) -> Carried:
        """What all workers carry now."""
        others = await self._others()
        await self._own.look()
        exchanges, connections, refused, silent = self._own.rows(), self._connections(), [*self._refused], 0
        for board in others:
            if board is None:
                silent += 1
                continue
            exchanges += [CarriedExchange(*row) for row in board["exchanges"]]
            refused += [_refusal(row) for row in board["refused"]]
            for name, (in_use, waiting) in board["connections"].items():
                mine = connections.get(name, (0, 0))
                connections[name] = (mine[0] + in_use, mine[1] + waiting)
        exchanges.sort(key=lambda one: -one.age)
        refused.sort(key=lambda one: one.at)
        return Carried(exchanges, connections, refused, silent)

    async def under_way(self) -> list[CarriedExchange]:
        """The exchanges of all workers, the oldest first."""
        return (await self.carried()).exchanges

    async def usage_waiting_since(self) -> datetime | None:
        """Since when usage waits for the database, in whichever worker; None where none does."""
        told = [self._waits_since(), *(board["usage_waits_since"] for board in self._read())]
        waiting = [since for since in told if since is not None]
        return datetime.fromtimestamp(min(waiting), UTC) if waiting else None

    async def end(self, exchange_id: str) -> None:
        """Break an exchange off, whichever worker carries it."""
        if not self._own.end(exchange_id) and self._group.size > 1:
            self._to_end[exchange_id] = monotonic() + _ASKED_SECONDS
            self._publish()

    async def move_to_front(self, exchange_id: str) -> None:
        """Let a request be the next in its line, whichever worker carries it."""
        if not self._own.move_to_front(exchange_id) and self._group.size > 1:
            self._to_move[exchange_id] = monotonic() + _ASKED_SECONDS
            self._publish()

    async def look_for_ever(self) -> None:
        """Do what the boards of the others ask for."""
        while True:
            boards = self._read()
            for board in boards:
                for exchange_id in board["to_end"]:
                    self._own.end(exchange_id)
                for exchange_id in board["to_move"]:
                    self._own.move_to_front(exchange_id)
            is_asked = any(board["asked_until"] > monotonic() for board in boards)
            if is_asked:
                await self._own.look()
            if is_asked or self._waits_since() != self._has_told:
                self._publish()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _others(self) -> list[dict[str, Any] | None]:
        """The boards of the others, each as new as it can be; None for one that is not written in time."""
        if self._group.size == 1:
            return []
        now = monotonic()
        newest = now if self._asked_until < now else now - 2 * _LOOK_SECONDS
        self._asked_until = now + _ASKED_SECONDS
        self._publish()
        while True:
            fresh: list[dict[str, Any] | None] = [one for one in self._read() if one["carried_at"] >= newest]
            missing = self._group.size - 1 - len(fresh)
            if not missing or monotonic() > now + _PATIENCE_SECONDS:
                return fresh + [None] * missing
            await asyncio.sleep(_LOOK_SECONDS / 5)

    def _read(self) -> list[dict[str, Any]]:
        return [orjson.loads(board) for board in self._group.other_notices() if board]

    def _publish(self) -> None:
        now = monotonic()
        self._has_told = self._waits_since()
        self._to_end = {name: until for name, until in self._to_end.items() if until > now}
        self._to_move = {name: until for name, until in self._to_move.items() if until > now}
        self._group.publish_notices(
            orjson.dumps(
                {
                    "asked_until": self._asked_until,
                    "to_end": list(self._to_end),
                    "to_move": list(self._to_move),
                    "carried_at": now,
                    "exchanges": [tuple(one) for one in self._own.rows()],
                    "connections": self._connections(),
                    "refused": list(self._refused),
                    "usage_waits_since": self._has_told,
                }
            )
        )

    def _connections(self) -> Connections:
        found = {name: pool.connections for name, pool in self._pools.known().items()}
        return {name: (one["in_use"], one["waiting"]) for name, one in found.items() if one["in_use"] or one["waiting"]}


def _refusal(row: dict[str, Any]) -> RecentRefusal:
    return RecentRefusal(**{**row, "at": datetime.fromisoformat(row["at"])})


BOARDS = web.AppKey("boards", NoticeBoards)


def set_up(app: web.Application) -> None:
    """Know what is under way; where there are several workers, of all of them."""
    group, pools = app[WORKER_GROUP], app[POOLS]
    own, ledger = ExchangesUnderWay(app[RELAY], pools, group.number), app[LEDGER]
    app[BOARDS] = NoticeBoards(own, pools, group, lambda: ledger.waiting_since, app[ACCESS].refused)
    if group.size > 1:
        app.cleanup_ctx.append(_looking)


async def _looking(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[BOARDS].look_for_ever(), name="notice boards")
    yield
    task.cancel()
    await asyncio.wait([task])
