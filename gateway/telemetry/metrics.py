"""Counts for Prometheus, kept as plain numbers; `exposition` puts them into its format.

Label values are bounded: deployments are those of the registry, endpoints those of the table, endings and reasons
those of the code.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from copy import deepcopy
from time import monotonic

from gateway.core.exchange import Exchange

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


class Counts:
    """All counts by their labels. What has no deployment is counted as a refusal only."""

    def __init__(self) -> None:
        self.requests: defaultdict[Labels, int] = defaultdict(int)  # deployment, endpoint, status, ending
        self.refusals: defaultdict[Labels, int] = defaultdict(int)  # reason
        self.tokens: defaultdict[Labels, int] = defaultdict(int)  # deployment, kind
        self.body_bytes: defaultdict[Labels, int] = defaultdict(int)  # deployment, direction
        self.first_byte: defaultdict[Labels, Histogram] = defaultdict(Histogram)  # deployment, endpoint
        self.duration: defaultdict[Labels, Histogram] = defaultdict(Histogram)  # deployment, endpoint


class Traffic:
    """What one endpoint of one deployment has carried. Kept by itself: labels for each request would cost more."""

    __slots__ = ("bytes_in", "bytes_out", "cached", "duration", "first_byte", "requests", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[int | None, str], int] = defaultdict(int)  # by status and ending
        self.first_byte = Histogram()
        self.duration = Histogram()
        self.bytes_in = self.bytes_out = 0
        self.tokens_in = self.tokens_out = self.cached = 0

    def add(self, exchange: Exchange) -> None:
        """Count an exchange."""
        self.requests[exchange.status, exchange.ending._value_] += 1
        self.duration.add(monotonic() - exchange.started)
        if exchange.first_byte_at is not None:
            self.first_byte.add(exchange.first_byte_at - exchange.started)
        self.bytes_in += exchange.bytes_in
        self.bytes_out += exchange.bytes_out
        if exchange.usage is not None:
            self.tokens_in += exchange.usage.tokens_in
            self.tokens_out += exchange.usage.tokens_out
            self.cached += exchange.usage.cached

    def add_to(self, counts: Counts, deployment: str, endpoint: str) -> None:
        """Add it to the counts of all."""
        for (status, ending), number in self.requests.items():
            counts.requests[deployment, endpoint, str(status or ""), ending] += number
        for kind, tokens in (("in", self.tokens_in), ("out", self.tokens_out), ("cached", self.cached)):
            counts.tokens[deployment, kind] += tokens
        for direction, size in (("in", self.bytes_in), ("out", self.bytes_out)):
            counts.body_bytes[deployment, direction] += size
        counts.first_byte[deployment, endpoint].add_all(self.first_byte.counts, self.first_byte.total)
        counts.duration[deployment, endpoint].add_all(self.duration.counts, self.duration.total)


class Metrics:
    """Counts exchanges as they end. `others` are the refusals, and what a worker before this one had counted."""

    def __init__(self) -> None:
        self.others = Counts()
        self._traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)  # by deployment and endpoint

    def add(self, exchange: Exchange) -> None:
        """Count an exchange that has just ended."""
        if exchange.reason:
            self.others.refusals[(exchange.reason,)] += 1
        if exchange.deployment is not None and exchange.endpoint is not None:
            self._traffic[exchange.deployment, exchange.endpoint].add(exchange)

    def counts(self) -> Counts:
        """All of it, by labels, as it is now."""
        counts = deepcopy(self.others)
        for (deployment, endpoint), traffic in self._traffic.items():
            traffic.add_to(counts, deployment, endpoint)
        return counts
