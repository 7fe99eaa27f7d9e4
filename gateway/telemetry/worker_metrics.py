"""The counts of all workers together: packed to be published for the others, and added up when one of them is asked.

A worker started in the place of one that died takes over its counts, so that a sum never goes back.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.telemetry.metrics import Histogram, Metrics, Place, Traffic

_NUMBERS = ("bytes_in", "bytes_out", "tokens_in", "tokens_out", "cached")

Gauge = Mapping[tuple[str, ...], int]  # by labels


@dataclass
class WorkerCounts:
    """What a worker has counted, and the gauges of which the sum counts; those of one that is gone are empty."""

    metrics: Metrics = field(default_factory=Metrics)
    under_way: Gauge = field(default_factory=dict)
    connections: Gauge = field(default_factory=dict)

    @classmethod
    def unpacked(cls, packet: bytes) -> "WorkerCounts":
        """From a packet of `Packer`; nothing from an empty one."""
        worker: dict[str, Any] = orjson.loads(packet) if packet else {}
        counts = cls()
        counts.metrics.refusals.update(worker.get("refusals", {}))
        for deployment, endpoint, *row in worker.get("traffic", ()):
            counts.metrics.traffic[deployment, endpoint] = _traffic(row)
        counts.metrics.usage.add_all(worker.get("usage", ()))
        if Path(f"/proc/{worker.get('pid')}").exists():
            counts.under_way = {tuple(labels): number for labels, number in worker["under_way"]}
            counts.connections = {tuple(labels): number for labels, number in worker["connections"]}
        return counts


class Packer:
    """Packs what this worker counts, again and again: what did not change is not packed anew."""

    def __init__(self) -> None:
        self._rows: dict[Place, tuple[float, orjson.Fragment]] = {}

    def packed(self, metrics: Metrics, under_way: Gauge, connections: Gauge) -> bytes:
        """The metrics and gauges. It may run beside the counting."""
        return orjson.dumps(
            {
                "pid": os.getpid(),
                "refusals": metrics.refusals.copy(),
                "traffic": list(self._traffic_rows(metrics.traffic.copy().items())),
                "usage": [(tuple(user), values) for user, values in metrics.usage.rows.copy().items()],
                "under_way": list(under_way.items()),
                "connections": list(connections.items()),
            }
        )

    def _traffic_rows(self, traffic: Iterable[tuple[Place, Traffic]]) -> Iterable[orjson.Fragment]:
        for place, one in traffic:
            seconds = one.duration.total  # grows with every exchange
            known = self._rows.get(place)
            if known is None or known[0] != seconds:
                self._rows[place] = known = seconds, orjson.Fragment(orjson.dumps([*place, *_row(one)]))
            yield known[1]


def _row(traffic: Traffic) -> list[object]:
    return [
        [(*outcome, number) for outcome, number in traffic.requests.copy().items()],
        *((one.counts, one.total) for one in (traffic.first_byte, traffic.duration)),
        [getattr(traffic, name) for name in _NUMBERS],
    ]


def _traffic(row: list[Any]) -> Traffic:
    traffic, (requests, first_byte, duration, numbers) = Traffic(), row
    for status, ending, number in requests:
        traffic.requests[status, ending] = number
    traffic.first_byte, traffic.duration = _histogram(*first_byte), _histogram(*duration)
    for name, number in zip(_NUMBERS, numbers, strict=True):
        setattr(traffic, name, number)
    return traffic


def _histogram(counts: list[int], total: float) -> Histogram:
    histogram = Histogram()
    histogram.counts, histogram.total = counts, total
    return histogram
