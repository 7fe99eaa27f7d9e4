"""Counts for Prometheus, kept as plain numbers; `exposition` puts them into its format.

Label values are bounded: deployments are those of the registry, endpoints those of the table, endings and reasons
those of the code.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from time import monotonic

from gateway.exchange import Exchange

# Seconds. The first byte of a long prompt takes minutes, a whole answer more.
BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

Labels = tuple[str, ...]


class Histogram:
    """How many took how long."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add_all(self, counts: Iterable[int], total: float) -> None:
        """Count those of another histogram."""
        self.counts = [mine + others for mine, others in zip(self.counts, counts, strict=True)]
        self.total += total

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Upper bound and number at or below it, the last one `+Inf`."""
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            below += count
            yield bound, below


class Metrics:
    """Counts of ended exchanges. One without a deployment counts as a refusal only."""

    def __init__(self) -> None:
        self.requests: defaultdict[Labels, int] = defaultdict(int)  # deployment, endpoint, status, ending
        self.refusals: defaultdict[Labels, int] = defaultdict(int)  # reason
        self.tokens: defaultdict[Labels, int] = defaultdict(int)  # deployment, kind
        self.body_bytes: defaultdict[Labels, int] = defaultdict(int)  # deployment, direction
        self.first_byte: defaultdict[Labels, Histogram] = defaultdict(Histogram)  # deployment, endpoint
        self.duration: defaultdict[Labels, Histogram] = defaultdict(Histogram)  # deployment, endpoint

    def add(self, exchange: Exchange) -> None:
        """Count an exchange that has just ended."""
        if exchange.reason:
            self.refusals[(exchange.reason,)] += 1
        deployment, endpoint = exchange.deployment, exchange.endpoint
        if deployment is None or endpoint is None:
            return
        self.requests[(deployment, endpoint, str(exchange.status or ""), exchange.ending._value_)] += 1
        self.duration[(deployment, endpoint)].add(monotonic() - exchange.started)
        if exchange.first_byte_at is not None:
            self.first_byte[(deployment, endpoint)].add(exchange.first_byte_at - exchange.started)
        self.body_bytes[(deployment, "in")] += exchange.bytes_in
        self.body_bytes[(deployment, "out")] += exchange.bytes_out
        if exchange.usage is not None:
            self.tokens[(deployment, "in")] += exchange.usage.tokens_in
            self.tokens[(deployment, "out")] += exchange.usage.tokens_out
            self.tokens[(deployment, "cached")] += exchange.usage.cached
