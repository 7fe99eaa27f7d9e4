"""The counts of all workers together: packed to be posted for the others, and added up when one of them is asked.

A worker started in the place of one that died takes over its counts, so that a sum never goes back.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.metrics import Labels, Metrics

_COUNTERS = ("requests", "refusals", "tokens", "body_bytes")
_HISTOGRAMS = ("first_byte", "duration")

Standing = Mapping[str, dict[Labels, float]]  # by the name of a gauge


def packed(metrics: Metrics, standing: Standing) -> bytes:
    """One worker's counts and gauges."""
    return orjson.dumps(
        {
            "pid": os.getpid(),
            "counters": {name: list(getattr(metrics, name).items()) for name in _COUNTERS},
            "histograms": {
                name: [(labels, one.counts, one.total) for labels, one in getattr(metrics, name).items()]
                for name in _HISTOGRAMS
            },
            "standing": {name: list(values.items()) for name, values in standing.items()},
        }
    )


def add_counts(metrics: Metrics, post: bytes) -> None:
    """Add what a post counts."""
    packet = _unpacked(post)
    for name, rows in packet.get("counters", {}).items():
        for labels, count in rows:
            getattr(metrics, name)[tuple(labels)] += count
    for name, rows in packet.get("histograms", {}).items():
        for labels, counts, total in rows:
            getattr(metrics, name)[tuple(labels)].add_all(counts, total)


def add_standing(standing: Standing, post: bytes) -> None:
    """Add the gauges of the worker of a post, unless it is gone."""
    packet = _unpacked(post)
    if not Path(f"/proc/{packet.get('pid')}").exists():
        return
    for name, rows in packet["standing"].items():
        for labels, number in rows:
            values = standing.get(name, {})
            values[tuple(labels)] = values.get(tuple(labels), 0.0) + number


def summed(metrics: Metrics, posts: Iterable[bytes]) -> Metrics:
    """New metrics that hold one worker's own and those posted by the others."""
    total = Metrics()
    for post in (packed(metrics, {}), *posts):
        add_counts(total, post)
    return total


def _unpacked(post: bytes) -> dict[str, Any]:
    packet: dict[str, Any] = orjson.loads(post) if post else {}
    return packet
