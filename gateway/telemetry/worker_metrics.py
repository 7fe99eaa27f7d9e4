"""The counts of all workers together: packed to be published for the others, and added up when one of them is asked.

A worker started in the place of one that died takes over its counts, so that a sum never goes back.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.telemetry.metrics import Counts, Labels

_COUNTERS = ("requests", "refusals", "tokens", "body_bytes")
_HISTOGRAMS = ("first_byte", "duration")

Standing = Mapping[str, dict[Labels, float]]  # by the name of a gauge


def packed(counts: Counts, standing: Standing) -> bytes:
    """One worker's counts and gauges."""
    return orjson.dumps(
        {
            "pid": os.getpid(),
            "counters": {name: list(getattr(counts, name).items()) for name in _COUNTERS},
            "histograms": {
                name: [(labels, one.counts, one.total) for labels, one in getattr(counts, name).items()]
                for name in _HISTOGRAMS
            },
            "standing": {name: list(values.items()) for name, values in standing.items()},
        }
    )


def add_counts(counts: Counts, packet: bytes) -> None:
    """Add what a packet counts."""
    worker = _unpacked(packet)
    for name, rows in worker.get("counters", {}).items():
        for labels, count in rows:
            getattr(counts, name)[tuple(labels)] += count
    for name, rows in worker.get("histograms", {}).items():
        for labels, numbers, total in rows:
            getattr(counts, name)[tuple(labels)].add_all(numbers, total)


def add_standing(standing: Standing, packet: bytes) -> None:
    """Add the gauges of the worker of a packet, unless it is gone."""
    worker = _unpacked(packet)
    if not Path(f"/proc/{worker.get('pid')}").exists():
        return
    for name, rows in worker["standing"].items():
        for labels, number in rows:
            values = standing.get(name, {})
            values[tuple(labels)] = values.get(tuple(labels), 0.0) + number


def _unpacked(packet: bytes) -> dict[str, Any]:
    counts: dict[str, Any] = orjson.loads(packet) if packet else {}
    return counts
