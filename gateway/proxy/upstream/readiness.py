"""Whether a deployment may be called: what the registry says of it, and what a probe of its upstream saw.

A deployment on `auto` is deploying until its first healthy probe and ready from then on: an upstream that goes away
later is a 502, not a 503. Any other status holds as pinned. Probing never holds up a request.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from gateway.core.deployment import Deployment, Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.connection_pool import ConnectionPools
from gateway.proxy.upstream.health_probe import ask_health

_FAULT = "the gateway failed to probe it"
_FIRST_PAUSE = 0.1  # seconds; while an upstream is not healthy, each pause is twice the one before

log = logging.getLogger("gateway.readiness")


@dataclass(slots=True)
class Health:
    """What the last probe saw: `""` before the first, "ok", "loading", or what was wrong. `since` is in UTC."""

    seen: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    was_ready: bool = False


class Readiness:
    """Probes the deployments it is told to `watch`. `interval` and `timeout` in seconds.

    Every `interval` while an upstream is healthy; quickly at first, and then more slowly up to `interval`, while not.
    """

    def __init__(self, pools: ConnectionPools, notifier: Notifier, interval: float, timeout: float) -> None:
        self._pools = pools
        self._notifier = notifier
        self._interval = interval
        self._timeout = timeout
        self._watched: dict[str, _Watched] = {}

    def watch(self, deployments: Mapping[str, Deployment]) -> None:
        """Probe these and no others. One that points elsewhere, or was resumed, starts anew."""
        for gone in [known for known in self._watched if known not in deployments]:
            self._watched.pop(gone).task.cancel()
        for deployment in deployments.values():
            watched = self._watched.get(deployment.id)
            if watched is not None and _is_same(watched.deployment, deployment):
                watched.deployment = deployment
            else:
                self._start_probing(deployment, watched)
        self._pools.keep_only(deployments)
        self._notifier.notify()

    def status(self, deployment: Deployment) -> Status:
        """What a caller is told: deploying, ready or paused."""
        if deployment.status is not Status.AUTO:
            return deployment.status
        return Status.READY if self.health(deployment.id).was_ready else Status.DEPLOYING

    def health(self, deployment_id: str) -> Health:
        """What probes saw of a deployment's upstream."""
        watched = self._watched.get(deployment_id)
        return watched.health if watched is not None else Health()

    def doubt(self, deployment_id: str) -> None:
        """A request found the upstream unreachable: look again soon."""
        watched = self._watched.get(deployment_id)
        if watched is not None:
            watched.look.set()

    async def first_look(self, timeout: float) -> None:
        """Wait until every deployment was probed once, for `timeout` seconds at most."""
        looks = [asyncio.create_task(watched.looked.wait()) for watched in self._watched.values()]
        if looks:
            _, late = await asyncio.wait(looks, timeout=timeout)
            for look in late:
                look.cancel()

    async def close(self) -> None:
        """Stop all probes."""
        tasks = [watched.task for watched in self._watched.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()

    def _start_probing(self, deployment: Deployment, before: "_Watched | None") -> None:
        if before is not None:
            before.task.cancel()
        self._watched[deployment.id] = watched = _Watched(deployment)
        watched.task = asyncio.create_task(self._probe_for_ever(watched))

    async def _probe_for_ever(self, watched: "_Watched") -> None:
        pause = 0.0
        while watched.deployment.status is not Status.PAUSED:
            watched.look.clear()
            seen = await self._ask(watched)
            self._note(watched, seen)
            pause = 0.0 if seen == "ok" else min(max(pause * 2, _FIRST_PAUSE), self._interval)
            if await _is_set_within(watched.look, pause or self._interval):
                await asyncio.sleep(_FIRST_PAUSE)  # many doubts at once are one
        watched.looked.set()

    async def _ask(self, watched: "_Watched") -> str:
        """One probe. A fault of ours must not end the probing: its deployment would stay as it is for ever."""
        try:
            return await ask_health(self._pools.of(watched.deployment), self._timeout)
        except Exception:
            if watched.health.seen != _FAULT:
                log.exception("deployment %s: internal error in a probe", watched.deployment.id)
            return _FAULT

    def _note(self, watched: "_Watched", seen: str) -> None:
        watched.looked.set()
        health = watched.health
        if seen == health.seen:
            return
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
    look: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)


def _is_same(one: Deployment, other: Deployment) -> bool:
    return (one.upstream, one.status) == (other.upstream, other.status)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


READINESS = web.AppKey("readiness", Readiness)
