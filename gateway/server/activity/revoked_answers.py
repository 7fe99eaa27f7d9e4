"""Breaks off the answers that run on a key which was revoked together with them."""

import asyncio

from gateway.core.exchange import Ending, Exchange
from gateway.proxy.relay import Relay
from gateway.registry.base import Registry

_ON_THE_WAY_SECONDS = 0.2  # within which a request that was admitted just before has begun


class RevokedAnswers:
    """Looks at what is under way whenever the registry has changed. Each process cuts its own."""

    def __init__(self, registry: Registry, relay: Relay) -> None:
        self._registry = registry
        self._relay = relay
        registry.listeners.append(self._registry_changed)

    def _registry_changed(self) -> None:
        if self._registry.snapshot.cut_keys:
            self._cut()
            asyncio.get_running_loop().call_later(_ON_THE_WAY_SECONDS, self._cut)

    def _cut(self) -> None:
        cut_keys = self._registry.snapshot.cut_keys

        def runs_on_one(exchange: Exchange) -> bool:
            return exchange.key in cut_keys

        self._relay.cut(runs_on_one, Ending.REVOKED)
