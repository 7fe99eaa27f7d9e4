"""Counts for Prometheus, kept as plain numbers; `prometheus_format` puts them into its format.

Label values are bounded: deployments are those of the registry, endpoints those of the table, endings and reasons
those of the code.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from gateway.core.exchange import Exchange
from gateway.telemetry.usage_counts import UsageCounts

# Seconds. The first byte of a long prompt takes minutes, a whole answer more.
BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


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
        self.duration.add(exchange.ended_at - exchange.started)
        if exchange.first_byte_at is not None:
            self.first_byte.add(exchange.first_byte_at - exchange.started)
        self.bytes_in += exchange.bytes_in
        self.bytes_out += exchange.bytes_out
        if exchange.usage is not None:
            self.tokens_in += exchange.usage.tokens_in
            self.tokens_out += exchange.usage.tokens_out
            self.cached += exchange.usage.cached

    def add_all(self, other: "Traffic") -> None:
        """Count what another has carried."""
        for outcome, number in other.requests.copy().items():
            self.requests[outcome] += number
        self.first_byte.add_all(other.first_byte.counts, other.first_byte.total)
        self.duration.add_all(other.duration.counts, other.duration.total)
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.cached += other.cached


Place = tuple[str, str]  # deployment and endpoint


class Metrics:
    """Counts exchanges as they end. What has no deployment is counted as a refusal only.

    `usage` is what the ledger adds up: nothing where there is no database. It tells at most `most_keys` keys apart.
    """

    def __init__(self, most_keys: int = 0) -> None:
        self.refusals: defaultdict[str, int] = defaultdict(int)  # by reason
        self.traffic: defaultdict[Place, Traffic] = defaultdict(Traffic)
        self.usage = UsageCounts(most_keys)

    def add(self, exchange: Exchange) -> None:
        """Count an exchange that has just ended."""
        if exchange.reason:
            self.refusals[exchange.reason] += 1
        if exchange.deployment is not None and exchange.endpoint is not None:
            self.traffic[exchange.deployment, exchange.endpoint].add(exchange)

    def add_all(self, other: "Metrics") -> None:
        """Count what another has counted, which may go on counting meanwhile."""
        for reason, number in other.refusals.copy().items():
            self.refusals[reason] += number
        for place, traffic in other.traffic.copy().items():
            self.traffic[place].add_all(traffic)
        self.usage.add_all(list(other.usage.rows.items()))
