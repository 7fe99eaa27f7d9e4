"""Begins a plain request in the very call that received it, if nothing stands in its way: no task, no waiting.

It serves the good case only: the key is good, the deployment is its account's and ready, a connection to it is idle.
If any of these is not so, nothing has been done, and `entrance` answers.
"""

import asyncio
from datetime import UTC, datetime
from enum import Enum, auto

from aiohttp import web

from gateway.core import errors
from gateway.core.account import Key
from gateway.core.deployment import Status
from gateway.core.errors import Refusal
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.client_connection import Client
from gateway.proxy.relay import RELAY
from gateway.proxy.request_body import HELD_BYTES
from gateway.proxy.response_relay import Answer
from gateway.proxy.upstream.connection_pool import UPSTREAMS
from gateway.proxy.upstream.readiness import READINESS
from gateway.server.fast_path_parser import PlainHead, PlainRequest
from gateway.server.handlers.authentication import REGISTRY
from gateway.telemetry.access_log import ACCESS


class Begun(Enum):
    """Whether a request has been sent up. `NOT_YET`: a moment later it might be."""

    YES = auto()
    NOT_YET = auto()
    NO = auto()


class FastPath:
    """Carries plain requests of one application."""

    def __init__(self, app: web.Application) -> None:
        self._access = app[ACCESS]
        self._registry = app[REGISTRY]
        self._readiness = app[READINESS]
        self._relay = app[RELAY]
        self._upstreams = app[UPSTREAMS]
        self._body_bytes = min(self._relay.body_bytes, HELD_BYTES)
        self._loop = asyncio.get_running_loop()
        self._ended: list[Answer] = []  # in this turn of the event loop

    def carry(self, request: PlainRequest, client: Client) -> Begun:
        """Send a whole request up, or do nothing.

        When its answer is over, `client.connection.request_over` is called.
        """
        head, snapshot = request.head, self._registry.snapshot
        key = self._key(head)
        deployment = snapshot.deployment(key.account, head.deployment_id) if key is not None else None
        if key is None or deployment is None or self._readiness.status(deployment) is not Status.READY:
            return Begun.NO
        if len(request.body) > self._body_bytes or self._relay.draining:
            return Begun.NO
        upstream = self._upstreams.of(deployment)
        connection = upstream.connect_at_once()
        if connection is None:
            return Begun.NOT_YET
        exchange = self._begin(request, key)
        exchange.deployment = deployment.id
        answer = Answer(exchange, head.endpoint, upstream, connection, client=client, report=self._report)
        framing = b"Content-Length: %d\r\n" % len(request.body) if request.body else b""
        up = upstream.request_head(head.endpoint.method, head.endpoint.path, head.upward + framing)
        self._relay.begin(answer, up + request.body)
        return Begun.YES

    def note_leaving(self, request: PlainRequest) -> None:
        """Its client left before the request was whole."""
        key = self._key(request.head)
        exchange = self._begin(request, key)
        if key is not None:
            deployment = self._registry.snapshot.deployment(key.account, request.head.deployment_id)
            exchange.deployment = deployment.id if deployment is not None else None
        exchange.ending = Ending.CLIENT_LEFT
        self._access.end(exchange)

    def _key(self, head: PlainHead) -> Key | None:
        return self._registry.snapshot.key(head.key_digest, datetime.now(UTC))

    def _begin(self, request: PlainRequest, key: Key | None) -> Exchange:
        exchange = self._access.begin(request.head.request_id)
        if key is not None:
            exchange.account, exchange.key = key.account, key.id
        exchange.endpoint = request.head.endpoint.path
        exchange.bytes_in = len(request.body)
        return exchange

    def _report(self, answer: Answer, refusal: Refusal | None) -> None:
        self._relay.end(answer)
        connection = answer.client.connection
        if refusal is not None and connection.transport is not None:
            if refusal.row is errors.UNREACHABLE:
                self._readiness.doubt(answer.exchange.deployment or "")
            self._access.refuse_at_once(answer.exchange, refusal, connection)
        if not self._ended:  # later: the clients get their bytes at the end of this turn of the event loop
            self._loop.call_soon(self._account)
        self._ended.append(answer)
        connection.request_over()

    def _account(self) -> None:
        ended, self._ended = self._ended, []
        for answer in ended:
            answer.exchange.usage = answer.usage()
            self._access.end(answer.exchange)
