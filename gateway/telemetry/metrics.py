"""Counts for Prometheus, kept as plain numbers; `prometheus_format` puts them into its format.

Label values are bounded: deployments are those of the registry, endpoints those of the table, endings and reasons
those of the code.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from gateway.core.exchange import Exchange
from gateway.telemetry.usage_counts import UsageCounts

# Seconds. The first byte of a long prompt takes minutes, a whole answer more.
BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


def count_in_buckets(counts: list[int], seconds: Iterable[float]) -> None:
    """Count each of these in the first bucket whose bound is not below it; what is above all bounds in the last."""
    rising = sorted(seconds)
    begin = 0
    for bucket, bound in enumerate(BOUNDS):
        if begin == len(rising):
            return
        end = bisect_right(rising, bound, begin)
        counts[bucket] += end - begin
        begin = end
    counts[-1] += len(rising) - begin


class Histogram:
    """How many took how long."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: Collection[float]) -> None:
        """Count some that took so long."""
        count_in_buckets(self.counts, seconds)
        self.total += sum(seconds)

    def add_all(self, counts: Iterable[int], total: float) -> None:
        """Count those of another histogram."""
        self.counts = [mine + others for mine, others in zip(self.counts, counts, strict=True)]
        self.total += total


class Traffic:
    """What one endpoint of one deployment has carried. Kept by itself: labels for each request would cost more."""

    __slots__ = ("bytes_in", "bytes_out", "cached", "duration", "first_byte", "requests", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[int | None, str], int] = defaultdict(int)  # by status and ending: the outcome
        self.first_byte = Histogram()
        self.duration = Histogram()
        self.bytes_in = self.bytes_out = 0
        self.tokens_in = self.tokens_out = self.cached = 0

    def add(self, exchanges: Sequence[Exchange]) -> None:
        """Count exchanges of one outcome. All at once, in local variables: one by one it cost twice as much."""
        self.duration.add([one.ended_at - one.started for one in exchanges])
        self.first_byte.add([one.first_byte_at - one.started for one in exchanges if one.first_byte_at is not None])
        bytes_in = bytes_out = tokens_in = tokens_out = cached = 0
        for one in exchanges:
            bytes_in += one.bytes_in
            bytes_out += one.bytes_out
            usage = one.usage
            if usage is not None:
                tokens_in += usage.tokens_in
                tokens_out += usage.tokens_out
                cached += usage.cached
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.cached += cached

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
    """Counts exchanges that are over. What has no deployment is counted as a refusal only.

    `usage` is what the ledger adds up: nothing where there is no database. It tells at most `most_keys` keys apart.
    """

    def __init__(self, most_keys: int = 0) -> None:
        self.refusals: defaultdict[str, int] = defaultdict(int)  # by reason
        self.traffic: defaultdict[Place, Traffic] = defaultdict(Traffic)
        self.usage = UsageCounts(most_keys)

    def add(self, exchanges: Iterable[Exchange]) -> None:
        """Count exchanges."""
        alike: defaultdict[tuple[str | None, str | None, int | None, str], list[Exchange]] = defaultdict(list)
        for one in exchanges:
            if one.reason:
                self.refusals[one.reason] += 1
            alike[one.deployment, one.endpoint, one.status, one.ending._value_].append(one)
        for (deployment, endpoint, status, ending), some in alike.items():
            if deployment is not None and endpoint is not None:
                traffic = self.traffic[deployment, endpoint]
                traffic.requests[status, ending] += len(some)
                traffic.add(some)

    def add_all(self, other: "Metrics") -> None:
        """Count what another has counted, which may go on counting meanwhile."""
        for reason, number in other.refusals.copy().items():
            self.refusals[reason] += number
        for place, traffic in other.traffic.copy().items():
            self.traffic[place].add_all(traffic)
        self.usage.add_all(list(other.usage.rows.items()))
