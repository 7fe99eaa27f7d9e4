"""Which limits a request meets, and that it takes its part of them, once, or is refused."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from hashlib import blake2b
from pathlib import Path

from aiohttp import web

from gateway.core.account import Key
from gateway.core.deployment import Deployment
from gateway.core.endpoints import Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import Exchange
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.registry.base import Registry
from gateway.usage.limits import limit_answers
from gateway.usage.limits.arithmetic import counting
from gateway.usage.limits.arithmetic.counting import LimitStanding
from gateway.usage.limits.arithmetic.record import DIGEST_BYTES
from gateway.usage.limits.store.fallback_store import FallbackStore
from gateway.usage.limits.store.limit_file import file_of, look_into, place_for
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, LimitStore, MachineClock, MetLimits, Taken
from gateway.usage.limits.store.memory_store import MemoryStore
from gateway.usage.limits.store.shared_file import SharedFile


class RateLimiter:
    """Knows the limits of a registry's snapshot, and counts them in a file that is opened where there are any."""

    def __init__(self, registry: Registry, zone: tzinfo) -> None:
        self.zone = zone
        self._clock = MachineClock()
        self._registry = registry
        self._known: object = None
        self._limits: dict[tuple[SubjectKind, str], tuple[RateLimit, ...]] = {}
        self.store: LimitStore = FallbackStore(self._open, MemoryStore(zone, self._clock))
        registry.listeners.append(self._follow)
        self._follow()

    def allowance(self, key: Key, deployment: Deployment, endpoint: Endpoint) -> "Allowance | None":
        """What a request of this key meets there; None, as for most, where nothing limits it."""
        if not self._limits:
            return None
        limits = [
            limit
            for limit in self.limits_of(key)
            if limit.deployment in {None, deployment.id}
            and (endpoint.takes_slot or not counting.of(limit.measure).is_of_tokens)
        ]
        return Allowance(self, limits, key, endpoint) if limits else None

    def limits_of(self, key: Key) -> list[RateLimit]:
        """The limits of a key, of whom it belongs to, and of its account."""
        subjects = (
            (SubjectKind.KEY, key.id),
            (SubjectKind.PERSON, key.person or ""),
            (SubjectKind.ACCOUNT, key.account),
        )
        return [limit for subject in subjects for limit in self._limits.get(subject, ())]

    def standings(self, limits: Sequence[RateLimit]) -> list[LimitStanding]:
        """How limits stand now, in their order."""
        return self.store.look([counted_limit(limit) for limit in limits])

    def open(self) -> None:
        """Open the file now, if there is anything to count."""
        if self._limits:
            self.store.look(())

    def close(self) -> None:
        """Leave the file."""
        self.store.close()

    def _follow(self) -> None:
        limits = self._registry.snapshot.limits
        if limits is not self._known:
            self._known = limits
            self._limits = _by_subject(limits.values())

    def _open(self) -> LimitStore:
        return SharedFile(place_for(self._registry), self.zone, self._clock)


class Allowance:
    """The limits that the requests of one key to one endpoint meet."""

    __slots__ = ("_limiter", "_met", "_protocol")

    def __init__(self, limiter: RateLimiter, limits: Iterable[RateLimit], key: Key, endpoint: Endpoint) -> None:
        self._limiter = limiter
        self._protocol = endpoint.protocol
        counted = [counted_limit(limit) for limit in limits]
        takes_tokens = any(one.counting.is_of_tokens for one in counted)
        self._met = MetLimits(counted, _digest("usual", key.id, endpoint.path) if takes_tokens else None)

    def take(self, exchange: Exchange) -> Refusal | None:
        """Take a request's part, to be settled with the exchange; or return why not, and take nothing."""
        limiter = self._limiter
        taken = limiter.store.take(self._met)
        if isinstance(taken, Exceeded):
            return limit_answers.refusal(self._protocol, taken.standings, taken.wall, limiter.zone)
        exchange.allotment = _Allotment(limiter.store, taken)
        exchange.answer_lines += limit_answers.lines(self._protocol, taken.told, taken.wall)
        return None


class _Allotment:
    """What an exchange has taken. What was sent has used its request when it was taken: some have no more to settle."""

    __slots__ = ("_store", "_taken")

    def __init__(self, store: LimitStore, taken: Taken) -> None:
        self._store = store
        self._taken: Taken | None = taken  # None once it is settled

    def leave(self) -> None:
        if self._taken is not None and self._taken.met.is_settled:
            self._store.leave(self._taken)

    def settle(self, tokens: int | None, *, was_sent: bool) -> None:
        taken, self._taken = self._taken, None
        if taken is not None and (taken.met.is_settled or not was_sent):
            self._store.settle(taken, tokens, was_sent=was_sent)


def look_from_outside(registry: Registry, zone: tzinfo, limits: Sequence[RateLimit]) -> list[LimitStanding]:
    """How limits of a registry stand, by what its gateways on this machine count. Raises OSError.

    Beside a database no file means that nothing was counted; elsewhere, that a gateway may have another state folder.
    """
    path = file_of(registry)
    if not isinstance(registry.place, Path):
        path.stat()
    return look_into(path, zone, [counted_limit(limit) for limit in limits])


LIMITER = web.AppKey("limiter", RateLimiter)


def counted_limit(limit: RateLimit) -> CountedLimit:
    """By what it is counted: a limit of another amount goes on where it was."""
    digest = _digest(limit.subject_kind, limit.counts_as or limit.subject, limit.deployment or "", limit.measure)
    counts, is_enforced = counting.of(limit.measure), not limit.is_shadow
    return CountedLimit(limit, digest, counts, limit.amount, is_enforced, is_enforced and not counts.is_under_way)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).digest()


def _by_subject(limits: Iterable[RateLimit]) -> dict[tuple[SubjectKind, str], tuple[RateLimit, ...]]:
    found: dict[tuple[SubjectKind, str], list[RateLimit]] = defaultdict(list)
    for limit in limits:
        found[limit.subject_kind, limit.subject].append(limit)
    order = list(Measure)
    return {name: tuple(sorted(some, key=lambda one: order.index(one.measure))) for name, some in found.items()}
