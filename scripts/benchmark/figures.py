"""Numbers: percentiles of many, and the median and spread of a few."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


@dataclass(frozen=True)
class Summary:
    """What is reported of many delays, in seconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        """Of seconds."""
        return cls(percentile(values, 50), percentile(values, 99), max(values, default=math.nan))


@dataclass(frozen=True)
class Spread:
    """One figure in several rounds: the median is reported, the extremes show how far to trust it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))
