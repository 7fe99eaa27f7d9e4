"""Percentiles out of the buckets of a histogram. Pure: no I/O."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from gateway.telemetry.metrics import BOUNDS


def quantile(share: float, counts: Sequence[int]) -> float:
    """The seconds that this share of all took at most, estimated as Prometheus' `histogram_quantile` does it.

    `counts` are those of the buckets that `BOUNDS` part, and of the one above; within a bucket they are taken to lie
    evenly. What lies above the last bound is given as that bound. Raises ValueError where nothing was counted.
    """
    below = list(accumulate(counts))
    if not below or below[-1] == 0:
        raise ValueError("nothing was counted")
    wanted = share * below[-1]
    bucket = bisect_left(below, wanted)
    if bucket >= len(BOUNDS):
        return BOUNDS[-1]
    begin, before = (BOUNDS[bucket - 1], below[bucket - 1]) if bucket else (0.0, 0)
    within = (wanted - before) / counts[bucket] if counts[bucket] else 0.0
    return begin + (BOUNDS[bucket] - begin) * within
