"""The gateway's side of all llama-servers: a pool of connections for each."""

from collections.abc import Callable, Container
from dataclasses import replace

from aiohttp import web

from gateway.core.deployment import Deployment
from gateway.core.errors import Refusal
from gateway.proxy.queue.lines import Lines
from gateway.proxy.upstream.connection_pool import ConnectionPool, FreeDescriptor
from gateway.proxy.upstream.dead_peer import DEAD_PEER_SECONDS
from gateway.proxy.upstream.tls import Trusts


class ConnectionPools:
    """One pool for each deployment, made when first asked for and remade when the deployment changes."""

    def __init__(
        self,
        lines: Lines | None = None,
        free_descriptor: FreeDescriptor = lambda: False,
        dead_peer: float = DEAD_PEER_SECONDS,
    ) -> None:
        self._lines = lines or Lines()
        self._free_descriptor = free_descriptor
        self._dead_peer = dead_peer
        self._trusts = Trusts()
        self._known: dict[str, tuple[Deployment, ConnectionPool]] = {}

    def of(self, deployment: Deployment) -> ConnectionPool:
        """The pool of this deployment."""
        known = self._known.get(deployment.id)
        if known is not None and known[0] is deployment:
            return known[1]
        if known is not None and _same_upstream(known[0], deployment):
            pool = known[1]
        else:
            if known is not None:
                known[1].close()
            line = self._lines.of(deployment)
            trust = self._trusts.of(deployment.ca_file)
            pool = ConnectionPool(deployment, line, self._free_descriptor, self._dead_peer, trust)
        self._known[deployment.id] = (deployment, pool)
        return pool

    def turn_away(self, deployment: Deployment, refusal: Callable[[], Refusal] | None) -> None:
        """As its pool's; and refuse all who wait in line, for its server or for one that the deployment had before."""
        self.of(deployment).turn_away(refusal)
        if refusal is not None:
            self._lines.turn_away(deployment.id, refusal)

    def note_slots(self, deployment: Deployment, slots: int | None) -> None:
        """Its server has so many slots; None: it does not say."""
        self._lines.note_slots(deployment, slots)

    def known(self) -> dict[str, ConnectionPool]:
        """The upstreams that exist, by deployment id."""
        return {name: pool for name, (_, pool) in self._known.items()}

    def keep_only(self, deployment_ids: Container[str]) -> None:
        """Forget the upstreams of deployments that are gone. What is under way on them finishes."""
        for gone in [known for known in self._known if known not in deployment_ids]:
            self._known.pop(gone)[1].close()
        self._lines.keep_only(deployment_ids)

    def close(self) -> None:
        """Close all idle connections."""
        self.keep_only(())


POOLS = web.AppKey("pools", ConnectionPools)


def _same_upstream(one: Deployment, other: Deployment) -> bool:
    return replace(one, status=other.status, account=other.account) == other
