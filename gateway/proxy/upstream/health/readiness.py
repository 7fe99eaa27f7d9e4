"""Whether a deployment may be called: what the registry says of it, and what a probe of its upstream saw.

A deployment on `auto` is deploying until its first healthy probe and ready from then on: an upstream that goes away
later is a 502, not a 503. Any other status holds as pinned. Probing never holds up a request.

An upstream that answers nothing any more and refuses nothing either, as a stopped process, is `unreachable` once probes
have met with silence for long enough: requests need not wait there to find that out, each for itself. Those that wait
in line for a connection are refused then as well, and with the same words; so they are when a deployment is paused.
"""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic

from aiohttp import web

from gateway.core import errors
from gateway.core.deployment import Deployment, Status
from gateway.core.errors import Refusal
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health.health_probe import Probe, ProbeTurns, ask_health, ask_slots, seconds_to_next
from gateway.proxy.upstream.response_head import UpstreamError

_FAULT = "the gateway failed to probe it"
_MOST_A_SECOND = 500  # probes of healthy upstreams: of more than an interval has room for, each is asked less often
_FIRST_PAUSE = 0.1  # seconds; while an upstream is not healthy, each pause is twice the one before
_REMEMBERED_STARTS = 5  # of each deployment
_NOT_READY = {
    Status.DEPLOYING: partial(Refusal, errors.DEPLOYING, Status.DEPLOYING.value),
    Status.PAUSED: partial(Refusal, errors.PAUSED, Status.PAUSED.value),
}
_UNREACHABLE = partial(Refusal, errors.UNREACHABLE, cause="it has not answered a probe for too long")

log = logging.getLogger("gateway.readiness")


@dataclass(slots=True)
class Health:
    """What the last probe saw: `""` before the first, "ok", "loading", or what was wrong. `since` is in UTC."""

    seen: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    was_ready: bool = False


class Readiness:
    """Probes the deployments it is told to `watch`. Times are in seconds.

    A healthy upstream is probed once in each `interval`, at a moment of its own; one that is not, quickly at first and
    then more and more slowly, down to that. One that has answered a probe before, and then no other for
    `unreachable_after`, is unreachable until it does.
    `silence_of` tells for how long no answer under way to a deployment has brought a byte: a server that is too busy
    for a probe, and goes on talking, is well.
    """

    def __init__(
        self,
        pools: ConnectionPools,
        notifier: Notifier,
        interval: float,
        timeout: float,
        *,
        unreachable_after: float = math.inf,
        silence_of: Callable[[str], float] = lambda _: math.inf,
    ) -> None:
        self._pools = pools
        self._notifier = notifier
        self._interval = interval
        self._timeout = timeout
        self._unreachable_after = unreachable_after
        self._silence_of = silence_of
        self._deployments: Mapping[str, Deployment] = {}
        self._watched: dict[str, _Watched] = {}
        self._unreachable: set[str] = set()  # ids
        self._turns = ProbeTurns()
        self._starts: dict[str, deque[float]] = {}  # by id, in seconds

    def watch(self, deployments: Mapping[str, Deployment]) -> None:
        """Probe these and no others. One that points elsewhere, or was resumed, starts anew."""
        if deployments is not self._deployments:  # else it is the rest of the registry that has changed
            self._deployments = deployments
            self._follow(deployments)
        self._notifier.notify()

    def status(self, deployment: Deployment) -> Status:
        """What a caller is told: deploying, ready or paused."""
        if deployment.status is not Status.AUTO:
            return deployment.status
        return Status.READY if self.health(deployment.id).was_ready else Status.DEPLOYING

    def why_not(self, deployment: Deployment) -> Callable[[], Refusal] | None:
        """What makes the refusal that a request to this deployment gets now; None if it may be called."""
        status = self.status(deployment)
        if status is not Status.READY:
            return _NOT_READY[status]
        return _UNREACHABLE if deployment.id in self._unreachable else None

    def health(self, deployment_id: str) -> Health:
        """What probes saw of a deployment's upstream."""
        watched = self._watched.get(deployment_id)
        return watched.health if watched is not None else Health()

    def usual_start(self, deployment_id: str) -> float | None:
        """How many seconds a deployment usually takes to become ready, as it was seen to; None before the first time.

        A server that was well at the first look was not seen to start.
        """
        seen = sorted(self._starts.get(deployment_id, ()))
        middle = len(seen) // 2
        return (seen[middle] + seen[~middle]) / 2 if seen else None  # `statistics` alone would be 2 ms of a start

    def doubt(self, deployment_id: str) -> None:
        """A request found the upstream unreachable: look again soon."""
        watched = self._watched.get(deployment_id)
        if watched is not None:
            watched.look.set()

    async def first_look(self, timeout: float) -> None:
        """Wait until every deployment was probed once, for `timeout` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for watched in tuple(self._watched.values()):
                    await watched.looked.wait()

    async def close(self) -> None:
        """Stop all probes."""
        tasks = [watched.task for watched in self._watched.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()

    def _follow(self, deployments: Mapping[str, Deployment]) -> None:
        for gone in self._watched.keys() - deployments.keys():
            self._watched.pop(gone).task.cancel()
            self._unreachable.discard(gone)
            self._starts.pop(gone, None)
        for deployment in deployments.values():
            watched = self._watched.get(deployment.id)
            if watched is not None and watched.deployment is deployment:
                continue
            if watched is not None and _is_probed_alike(watched.deployment, deployment):
                watched.deployment = deployment
            else:
                self._start_probing(deployment, watched)
        self._pools.keep_only(deployments)

    def _start_probing(self, deployment: Deployment, before: "_Watched | None") -> None:
        if before is not None:
            before.task.cancel()
            self._unreachable.discard(deployment.id)
        self._watched[deployment.id] = watched = _Watched(deployment)
        watched.task = asyncio.create_task(self._probe_for_ever(watched))
        self._tell_waiting(deployment)

    async def _probe_for_ever(self, watched: "_Watched") -> None:
        pause = 0.0
        while watched.deployment.status is not Status.PAUSED:
            doubted = watched.look.is_set()
            watched.look.clear()
            async with self._turns.take():
                begun = monotonic()
                probe = await self._ask(watched)
                watched.knows_slots = watched.knows_slots and watched.health.seen == "ok" and not doubted
                if probe.seen == "ok" and not watched.knows_slots:
                    await self._ask_slots(watched)
            self._note_silence(watched, begun, probe.timed_out)
            self._note(watched, probe.seen)
            self._tell_waiting(watched.deployment)
            pause = 0.0 if probe.seen == "ok" else min(max(pause * 2, _FIRST_PAUSE), self._interval)
            if await _is_set_within(watched.look, pause or self._seconds_to_next(watched)):
                await asyncio.sleep(_FIRST_PAUSE)  # many doubts at once are one
        watched.looked.set()

    def _seconds_to_next(self, watched: "_Watched") -> float:
        interval = max(self._interval, len(self._watched) / _MOST_A_SECOND)
        return seconds_to_next(watched.deployment.id, interval, monotonic())

    async def _ask(self, watched: "_Watched") -> Probe:
        """One probe. A fault of ours must not end the probing: its deployment would stay as it is for ever."""
        try:
            return await ask_health(self._pools.of(watched.deployment), self._timeout)
        except Exception:
            if watched.health.seen != _FAULT:
                log.exception("deployment %s: internal error in a probe", watched.deployment.id)
            return Probe(_FAULT)

    async def _ask_slots(self, watched: "_Watched") -> None:
        """Before it is known to be well: so that never more is sent to it than it has slots."""
        deployment = watched.deployment
        if deployment.limits.connections is not None:
            return
        with contextlib.suppress(TimeoutError, UpstreamError):  # those known before are the better guess
            self._pools.note_slots(deployment, await ask_slots(self._pools.of(deployment), self._timeout))
            watched.knows_slots = True

    def _note_silence(self, watched: "_Watched", begun: float, timed_out: bool) -> None:
        """Note whether the upstream has fallen silent, by a probe that began at `begun`, in the monotonic clock."""
        name = watched.deployment.id
        if not timed_out:
            watched.silent_since, watched.has_answered = math.inf, True
        elif watched.has_answered:
            heard = monotonic() - min(self._silence_of(name), self._pools.of(watched.deployment).silence())
            watched.silent_since = max(min(watched.silent_since, begun), heard)
        is_silent = monotonic() - watched.silent_since >= self._unreachable_after
        if is_silent and name not in self._unreachable:
            self._unreachable.add(name)
            why = f"no probe was answered for {self._unreachable_after:g} s"
            log.warning("deployment %s: upstream unreachable: %s; requests are refused", name, why)
        elif not is_silent:
            self._unreachable.discard(name)

    def _tell_waiting(self, deployment: Deployment) -> None:
        """Refuse who waits for a connection as whoever comes now, unless they may go on waiting."""
        self._pools.turn_away(deployment, self.why_not(deployment))

    def _note(self, watched: "_Watched", seen: str) -> None:
        watched.looked.set()
        health = watched.health
        if seen == health.seen:
            return
        if seen == "ok" and health.seen and not health.was_ready:
            starts = self._starts.setdefault(watched.deployment.id, deque(maxlen=_REMEMBERED_STARTS))
            starts.append(monotonic() - watched.begun)
        goes_away = seen != "ok" and health.seen in {"", "ok"} and self.status(watched.deployment) is Status.READY
        health.seen, health.since = seen, datetime.now(UTC)
        health.was_ready = health.was_ready or seen == "ok"
        if goes_away:
            log.warning("deployment %s: upstream %s; its clients get 502 until it is ok", watched.deployment.id, seen)
        else:
            log.info("deployment %s: upstream %s", watched.deployment.id, seen)
        self._notifier.notify()


@dataclass(slots=True, eq=False)
class _Watched:
    deployment: Deployment
    task: "asyncio.Task[None]" = field(init=False)
    health: Health = field(default_factory=Health)
    begun: float = field(default_factory=monotonic)
    has_answered: bool = False  # if only that it refuses
    knows_slots: bool = False  # of the server that is there now
    silent_since: float = math.inf  # in the monotonic clock
    look: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)


def _is_probed_alike(one: Deployment, other: Deployment) -> bool:
    return (one.upstream, one.status) == (other.upstream, other.status)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


READINESS = web.AppKey("readiness", Readiness)
