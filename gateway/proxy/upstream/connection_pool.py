"""The gateway's side of one llama-server: its connections, and the heads of its requests.

A connection is kept for the next request, but not for long: llama-server closes one after 5 idle seconds (cpp-httplib's
default). Nor is one kept for ever that is never idle: where a name leads, and whom a balancer chooses, is decided when
a connection is opened.
"""

import asyncio
import contextlib
import errno
import math
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from time import monotonic

from gateway.core.deployment import Deployment
from gateway.core.errors import Refusal
from gateway.core.exchange import Exchange
from gateway.proxy.queue.deployment_line import BusyError, Claimant, DeploymentLine, Place
from gateway.proxy.upstream.address import Address
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.dead_peer import DEAD_PEER_SECONDS, detect_death
from gateway.proxy.upstream.response_head import UpstreamError
from gateway.proxy.upstream.tls import Trust

_IDLE_SECONDS = 4.0
_AHEAD_SECONDS = 0.1  # that a request waits for a connection before it takes the way on which it may wait for long
_MOST_SECONDS = 300.0  # that a connection may be old when it is kept
_MOST_ASIDE = 256  # requests that take no slot, and so never wait, at a time
# Until a connection that is open still may serve again behind an answer in chunks: llama-server closes it there and
# does not say so, because its content provider ends with false, which cpp-httplib takes for an error
# (tools/server/server-http.cpp). A request sent meanwhile would be lost.
_TRIAL_SECONDS = 0.5
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
FreeDescriptor = Callable[[], bool]  # makes one free, of those that are kept for upstreams; False if there is none
_DESCRIPTOR_SECONDS = 0.02  # between two tries to get one


class ConnectionPool:
    """Opens, keeps and reuses connections to the llama-server of one deployment.

    What takes a slot there has a place, from `line`. A server that vanishes without a word is noticed after `dead_peer`
    seconds.
    """

    def __init__(
        self,
        deployment: Deployment,
        line: DeploymentLine,
        free_descriptor: FreeDescriptor = lambda: False,
        dead_peer: float = DEAD_PEER_SECONDS,
        trust: Trust | None = None,
    ) -> None:
        self._free_descriptor = free_descriptor
        self._dead_peer = dead_peer
        self.timeouts = deployment.timeouts
        self.shortest_silence = min(self.timeouts.first_byte, self.timeouts.silence)
        self.ping = deployment.ping
        self.line = line
        self._address = Address(deployment.upstream, trust or Trust(deployment.ca_file))
        fixed = f"Host: {self._address.authority}\r\n"
        if deployment.upstream_key is not None:
            fixed += f"Authorization: Bearer {deployment.upstream_key}\r\n"
        self._fixed_headers = fixed.encode("ascii")
        self._idle: list[UpstreamConnection] = []  # the last is the one that was in use last
        self._stays_open: bool | None = None  # a connection behind an answer in chunks; None while nobody knows
        self._on_trial: UpstreamConnection | None = None  # the one that will tell soon
        self._aside = 0  # connections in use by what takes no slot
        self._receiving = 0  # requests that hold a part of their body, and have no connection yet
        self._opening: set[asyncio.Task[UpstreamConnection]] = set()  # connections ahead of their requests
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self.refusal: Callable[[], Refusal] | None = None  # made for whoever asks for a connection now
        self._answered_at = -math.inf

    @property
    def connections(self) -> dict[str, int]:
        """Places `in_use`, connections `idle`, and requests `waiting` for a place."""
        return {"in_use": self.line.in_use, "idle": len(self._idle), "waiting": self.line.waiting}

    def head_start(self, method: str, path: str) -> bytes:
        """What the head of a request begins with. Its own headers follow."""
        return f"{method} {path} HTTP/1.1\r\n".encode("ascii") + self._fixed_headers

    def request_head(self, method: str, path: str, lines: bytes) -> bytes:
        """The bytes before a request's body. `lines` are its headers, the one that frames the body among them."""
        return self.head_start(method, path) + lines + b"\r\n"

    def connect_at_once(self, claimant: Claimant | None) -> UpstreamConnection | None:
        """As `connect`, if a connection is idle and nobody has to wait for it."""
        if claimant is None:
            connection = self._reused() if self._aside < _MOST_ASIDE else None
            self._aside += connection is not None
            return connection
        if not self.line.free:
            return None
        connection = self._reused()
        if connection is not None:
            connection.place = self.line.take(claimant)
        return connection

    def open_ahead(self, claimant: Claimant | None, then: Callable[[], None]) -> bool:
        """Open a connection that will be idle, and call `then` in that moment; soon, too, if there is none by then.

        Nothing is done, and False returned, where a request has to wait in line, or is turned away.
        """
        if self.refusal is not None or self._closed:
            return False
        place = None if claimant is None else self.line.take(claimant)
        if place is None and claimant is not None:
            return False
        opening = asyncio.get_running_loop().create_task(self._open_ahead())
        self._opening.add(opening)
        opening.add_done_callback(partial(self._opened_ahead, place, then))
        return True

    async def _open_ahead(self) -> UpstreamConnection:
        async with asyncio.timeout(_AHEAD_SECONDS):
            return await self._open_once()

    def _opened_ahead(
        self, place: Place | None, then: Callable[[], None], opening: asyncio.Task[UpstreamConnection]
    ) -> None:
        """It has ended; it may have been cancelled before it began."""
        self._opening.discard(opening)
        try:
            # Whoever asks next finds out again what was wrong, and says so.
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, UpstreamError):
                self._keep(opening.result())
        finally:
            return_unused(place)
            then()

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """Count a request towards the limits while its body is received, and held, before it asks for a connection.

        Raises BusyError if as many are received already as may have a place or wait for one.
        """
        if self._receiving >= self.line.most:
            raise BusyError("limits.waiting is reached by requests whose bodies still arrive")
        self._receiving += 1
        try:
            yield
        finally:
            self._receiving -= 1

    async def connect(self, claimant: Claimant | None, exchange: Exchange | None = None) -> UpstreamConnection:
        """A connection on which nothing has been sent yet; hand it to `release` in the end.

        A `claimant` has a place with it; what takes no slot has none. That it waits is noted on `exchange`. Raises
        BusyError at once if too many wait, or after `timeouts.queue` seconds in line, or if no file descriptor is free
        for `timeouts.connect` seconds; UpstreamError if there is no connection within that time; and Refusal as soon as
        all are turned away.
        """
        if self.refusal is not None:
            raise self.refusal()
        if claimant is None:
            return await self._connect_aside()
        place = await self._take_place(claimant, exchange)
        return self.idle_for(place) or await self.open_for(place)

    def idle_for(self, place: Place) -> UpstreamConnection | None:
        """A connection for who has got a place, if one is idle."""
        connection = self._reused()
        if connection is not None:
            connection.place = place
        return connection

    async def open_for(self, place: Place) -> UpstreamConnection:
        """A new connection for who has got a place, which is given back where there is none. Raises as `connect`."""
        try:
            connection = await self._open()
        except BaseException:  # a cancelled request, too, gives its place back
            return_unused(place)
            raise
        connection.place = place
        return connection

    async def _connect_aside(self) -> UpstreamConnection:
        if self._aside >= _MOST_ASIDE:
            raise BusyError(f"{_MOST_ASIDE} requests that take no slot are under way")
        self._aside += 1
        try:
            return self._reused() or await self._open()
        except BaseException:
            self._aside -= 1
            raise

    def turn_away(self, refusal: Callable[[], Refusal] | None) -> None:
        """Let nobody have a connection who asks from now on: raise what `refusal` makes. None: let them again.

        Who has a connection keeps it; who waits in line for one goes on waiting.
        """
        self.refusal = refusal
        if refusal is not None or not self._stays_open:  # it may be another server by now; if it is well, it is not
            self._stays_open = None

    async def connect_apart(self) -> UpstreamConnection:
        """A connection outside the limits, for what is not a request; `abort` it in the end. Raises UpstreamError."""
        return await self._address.open(self.timeouts.connect)

    def release(self, connection: UpstreamConnection, *, reusable: bool = True) -> None:
        """Take a connection back: keep it if its answer is complete and it may serve again, else close it.

        A connection that is still owed a part of its request is never `reusable`.
        """
        place, connection.place = connection.place, None
        now = monotonic()
        if not reusable or connection.opened_at < now - _MOST_SECONDS or not connection.may_be_reused():
            if not connection.was_answered:
                self._stays_open = None  # it was perhaps closed behind the answer before
            connection.abort()
        else:
            connection.release()
            self._answered_at = connection.idle_since = now
            if connection.was_chunked:
                self._keep_behind_chunks(connection)
            else:
                self._keep(connection)
        if place is None:
            self._aside -= 1
        else:
            place.line.take_back(place, now)

    def put_back(self, connection: UpstreamConnection) -> None:
        """Take a connection back on which nothing was sent."""
        place, connection.place = connection.place, None
        self._keep(connection)
        self._aside -= place is None
        return_unused(place)

    def _keep(self, connection: UpstreamConnection) -> None:
        if self._closed:
            connection.abort()
            return
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep_later()

    def _keep_behind_chunks(self, connection: UpstreamConnection) -> None:
        """Keep it, if connections of this upstream stay open behind an answer in chunks; find out whether they do."""
        if self._stays_open:
            self._keep(connection)
        elif self._stays_open is None and self._on_trial is None and not self._closed:
            self._on_trial = connection
            connection.loop.call_later(_TRIAL_SECONDS, self._end_trial, connection)
        else:
            connection.abort()

    def _end_trial(self, connection: UpstreamConnection) -> None:
        self._on_trial = None
        self._stays_open = not connection.is_stale()
        if self._stays_open:
            self._keep(connection)
            self._idle.sort(key=attrgetter("idle_since"))  # others were in use later, and are used again sooner
        else:
            connection.abort()

    def silence(self) -> float:
        """Seconds since the last whole answer; infinite before the first."""
        return monotonic() - self._answered_at

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is released."""
        self._closed = True
        for opening in self._opening:
            opening.cancel()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        if self._on_trial is not None:
            self._on_trial.abort()

    def _reused(self) -> UpstreamConnection | None:
        oldest = monotonic() - _IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > oldest and not connection.is_stale():
                return connection
            connection.abort()
            self._stays_open = None  # it may be another server by now
        return None

    async def _open(self) -> UpstreamConnection:
        """A new connection, once there is a file descriptor for it, from the reserve if need be."""
        patience = monotonic() + self.timeouts.connect
        while True:
            try:
                return await self._open_once()
            except UpstreamError as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _NO_DESCRIPTOR:
                    raise
                if self._free_descriptor():
                    continue
                if monotonic() > patience:
                    raise BusyError("no file descriptor is left for a connection") from error
            await asyncio.sleep(_DESCRIPTOR_SECONDS)

    async def _open_once(self) -> UpstreamConnection:
        connection = await self._address.open(self.timeouts.connect)
        detect_death(connection.transport, self._dead_peer)
        return connection

    async def _take_place(self, claimant: Claimant, exchange: Exchange | None) -> Place:
        """A place at once, or in line."""
        place = self.line.take(claimant)
        if place is not None:
            return place
        waiting: asyncio.Future[Place | BusyError | Refusal] = asyncio.get_running_loop().create_future()
        ticket = self.line.ask(claimant, self.timeouts.queue, partial(_end_wait, waiting))
        if exchange is not None:
            exchange.ticket = ticket.number
        try:
            outcome = await waiting
        except asyncio.CancelledError:
            self.line.leave(ticket)
            if waiting.done() and not waiting.cancelled():
                return_unused(waiting.result())  # it was given just when the request was cancelled
            raise
        if isinstance(outcome, Place):
            return outcome
        raise outcome

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(_IDLE_SECONDS / 2, self._sweep_idle)

    def _sweep_idle(self) -> None:
        self._sweep = None
        oldest = monotonic() - _IDLE_SECONDS
        for connection in [idle for idle in self._idle if idle.idle_since < oldest or idle.is_closing()]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._sweep_later()


def _end_wait(waiting: "asyncio.Future[Place | BusyError | Refusal]", outcome: Place | BusyError | Refusal) -> None:
    if waiting.done():
        return_unused(outcome)
    else:
        waiting.set_result(outcome)


def return_unused(outcome: Place | BusyError | Refusal | None) -> None:
    """Give back the place that somebody got who does not want it any more."""
    if isinstance(outcome, Place):
        outcome.line.take_back(outcome, monotonic())
        outcome.settle(0)
