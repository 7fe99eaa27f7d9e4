"""Whether a proxied request is let through: one decision, the same for both ways in.

What has to see every proxied request belongs in `Admission.admit`, and nowhere else.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from typing import TypeVar

from aiohttp import web

from gateway.core import errors
from gateway.core.account import Key
from gateway.core.deployment import Deployment, is_id
from gateway.core.endpoints import Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import Exchange
from gateway.core.http.base_urls import how_to_enable
from gateway.core.http.headers import KEYS_DIFFER, NO_KEY, NOT_BEARER
from gateway.proxy.queue.deployment_line import Claimant
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.health.readiness import Readiness
from gateway.registry.base import Registry
from gateway.telemetry.masking import masked
from gateway.usage.limits.rate_limiter import Allowance, RateLimiter

_MOST_REMEMBERED = 10_000  # admissions: keys times deployments times endpoints may be more than memory is for


@dataclass(frozen=True, slots=True)
class RequestedTarget:
    """What a request's head asks for. `key_digest` is what `presented_digest` makes of its key."""

    key_digest: bytes
    deployment_id: str
    endpoint: Endpoint


@dataclass(slots=True, eq=False)
class Admitted:
    """A request that is let through, and where to. With it is kept what follows from it, as it is remembered."""

    asked: RequestedTarget
    key: Key
    deployment: Deployment
    pool: ConnectionPool
    allowance: Allowance | None  # what limits it; its part of that is taken when it begins
    claimant: Claimant | None  # whose place it has, if it takes one
    until: float | None = field(init=False)  # in Unix time: when its key expires
    head_start: bytes = field(init=False)  # what its head begins with on the way up
    _named: tuple[str, str, str | None, str, str] = field(init=False)

    def __post_init__(self) -> None:
        key, endpoint = self.key, self.asked.endpoint
        self.until = None if key.expires_at is None else key.expires_at.timestamp()
        self.head_start = self.pool.head_start(endpoint.method, endpoint.path)
        self._named = (key.account, key.id, key.person, self.deployment.id, endpoint.path)

    def note_on(self, exchange: Exchange) -> None:
        """Name the account, key, deployment and endpoint of the exchange."""
        exchange.account, exchange.key, exchange.person, exchange.deployment, exchange.endpoint = self._named


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that is refused. `key` and `deployment` are there as far as they were found to be good.

    `wants_address`: it was decided without the client's address, and for this key that matters. Ask again with it.
    """

    asked: RequestedTarget
    refusal: Refusal
    key: Key | None = None
    deployment: Deployment | None = None
    wants_address: bool = False

    def note_on(self, exchange: Exchange) -> None:
        """As `Admitted.note_on`. A request without a good key has no endpoint: its path is nobody's."""
        if self.key is not None:
            exchange.account, exchange.key, exchange.person = self.key.account, self.key.id, self.key.person
            exchange.endpoint = self.asked.endpoint.path
        if self.deployment is not None:
            exchange.deployment = self.deployment.id


_Asked = tuple[bytes, str, str, str | None]  # digest, deployment, path, and the client's address where it matters
_Decision = TypeVar("_Decision", Admitted, Rejected)


class Admission:
    """Decides from what is in memory: nothing is waited for or read from a disk.

    Who was admitted is remembered until the registry changes, the key expires, or the pool turns its clients away. That
    a key is limited to networks, and the address matters, is remembered, too.
    """

    def __init__(
        self,
        registry: Registry,
        readiness: Readiness,
        pools: ConnectionPools,
        relay: Relay,
        limiter: RateLimiter,
    ) -> None:
        self._registry = registry
        self._readiness = readiness
        self._pools = pools
        self._relay = relay
        self._limiter = limiter
        self._admitted: dict[_Asked, Admitted] = {}
        self._address_wanted: dict[_Asked, Rejected] = {}
        registry.listeners.append(self._forget)

    def admit(self, asked: RequestedTarget, address: str | None = None) -> Admitted | Rejected:
        """Decide on one request: 401, 404, 503 or 502, in this order. It is called once for each proxied request.

        Only for a key that is limited to networks, `address` matters, which is the client's, and costs something to
        find out: the decision without it says so, and is asked for again.
        """
        what = (asked.key_digest, asked.deployment_id, asked.endpoint.path, address)
        known = self._admitted.get(what)
        if known is None or known.pool.refusal is not None or self._relay.draining:
            return self._address_wanted.get(what) or self._decide(asked, address)
        if known.until is not None and known.until <= time():
            return self._decide(asked, address)
        return known

    def _decide(self, asked: RequestedTarget, address: str | None) -> Admitted | Rejected:
        key = self.key(asked.key_digest)
        if key is None:
            return Rejected(asked, self.bad_key(asked.key_digest))
        deployment = self._registry.snapshot.deployment(key.account, asked.deployment_id)
        if deployment is None:
            shown = _shown_id(asked.deployment_id)
            refusal = Refusal(errors.NO_DEPLOYMENT, cause=f"{shown} is no deployment of this account")
            return Rejected(asked, refusal, key)
        # What a key is not for looks like what is not there; the cause is for the log.
        if not key.opens(deployment.id, asked.endpoint.group):
            refusal = Refusal(
                errors.NO_DEPLOYMENT, cause=f"the key {key.id} is limited to other deployments or endpoints"
            )
            return Rejected(asked, refusal, key)
        if not key.may_come_from(address):
            return self._from_elsewhere(asked, key, address)
        if asked.endpoint.group not in deployment.endpoints:
            refusal = Refusal(errors.NOT_ENABLED, how_to_enable(asked.endpoint, deployment))
            return Rejected(asked, refusal, key, deployment)
        why_not = self._readiness.why_not(deployment)
        if why_not is not None:
            return Rejected(asked, why_not(), key, deployment)
        if self._relay.draining:
            return Rejected(asked, Refusal(errors.DRAINING), key, deployment)
        allowance = self._limiter.allowance(key, deployment, asked.endpoint)
        pool = self._pools.of(deployment)
        claimant = pool.line.claimant(key, self._weight_of(key.account)) if asked.endpoint.takes_slot else None
        admitted = Admitted(asked, key, deployment, pool, allowance, claimant)
        self._remember(self._admitted, admitted, address)
        return admitted

    def _weight_of(self, account: str) -> float:
        known = self._registry.snapshot.accounts.get(account)
        return 1.0 if known is None else known.weight

    def _from_elsewhere(self, asked: RequestedTarget, key: Key, address: str | None) -> Rejected:
        """For a key that is limited to networks: its client is in none of them, or its `address` is not known yet."""
        refusal = Refusal(errors.NO_DEPLOYMENT, cause=f"the key {key.id} is for other networks than the client's")
        rejected = Rejected(asked, refusal, key, wants_address=address is None)
        if rejected.wants_address:
            self._remember(self._address_wanted, rejected, None)
        return rejected

    @staticmethod
    def _remember(decisions: dict[_Asked, _Decision], decision: _Decision, address: str | None) -> None:
        asked = decision.asked
        if asked.endpoint.is_plain:  # else it may be one of many at its path
            if len(decisions) >= _MOST_REMEMBERED:
                decisions.clear()
            decisions[asked.key_digest, asked.deployment_id, asked.endpoint.path, address] = decision

    def _forget(self) -> None:
        self._admitted.clear()
        self._address_wanted.clear()

    def key(self, digest: bytes) -> Key | None:
        """The key with this digest; None for an unknown, revoked or expired one alike."""
        return self._registry.snapshot.key(digest, datetime.now(UTC))

    def bad_key(self, digest: bytes) -> Refusal:
        """The 401 for a digest that opens nothing. To the client all are alike; the cause is for the log."""
        return Refusal(errors.BAD_KEY, cause=self._bad_key_cause(digest))

    def _bad_key_cause(self, digest: bytes) -> str:
        if digest == NO_KEY:
            return "no key was presented"
        if digest == NOT_BEARER:
            return "the Authorization header holds no Bearer key"
        if digest == KEYS_DIFFER:
            return "the headers present keys that differ"
        known = self._registry.snapshot.keys.get(digest)
        if known is None:
            return "the key is unknown"
        if known.revoked_at is not None:
            return f"the key {known.id} was revoked"
        return f"the key {known.id} has expired" if known.enabled else f"the key {known.id} is switched off"


def _shown_id(asked_for: str) -> str:
    """What log and status page call a deployment that there is not: its id, unless that may be a pasted key."""
    return asked_for if is_id(asked_for) and masked(asked_for) == asked_for else "what was asked for"


REGISTRY = web.AppKey("registry", Registry)
ADMISSION = web.AppKey("admission", Admission)
