"""The numbers in Prometheus's text format 0.0.4, of which only what has changed is written anew.

https://prometheus.io/docs/instrumenting/exposition_formats: a family is a block of lines, and so the text is put
together family by family, of pieces that are kept for each deployment. Numbers are written as Python writes floats.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from gateway.telemetry.metrics import BOUNDS, Histogram, Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_AT_ONCE = 50  # deployments; the event loop does something else between two such portions, which take about 1 ms
_BOUNDS = (*map(str, BOUNDS), "+Inf")
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


class _Family(NamedTuple):
    name: str
    help: str
    kind: str = "counter"

    def head(self) -> str:
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


_REQUESTS = _Family("gguf_requests_total", "Requests to a deployment.")
_TOKENS = _Family(
    "gguf_tokens_total", "Tokens, as the model servers state them; of a stream that broke off, as counted."
)
_BODY_BYTES = _Family("gguf_body_bytes_total", "Bytes of bodies carried.")
_FIRST_BYTE = _Family("gguf_first_byte_seconds", "Time to the first byte of an answer.", "histogram")
_DURATION = _Family("gguf_duration_seconds", "Time to the end of an answer.", "histogram")
_OPEN = _Family("gguf_open_exchanges", "Answers under way.", "gauge")
_CONNECTIONS = _Family("gguf_upstream_connections", "Connections, and requests for one.", "gauge")
_QUEUE_LENGTH = _Family("gguf_queue_length", "Requests in line for a slot.", "gauge")
_SLOTS_BUSY = _Family("gguf_slots_busy", "Slots that requests have.", "gauge")
_SLOTS = _Family("gguf_slots", "Slots that requests may have at a time.", "gauge")
_STATUS = _Family("gguf_deployment_status", "1 for the status a deployment has, 0 for the others.", "gauge")
_UP = _Family("gguf_upstream_up", "Whether the last probe found a healthy model server.", "gauge")
_REFUSALS = _Family("gguf_refusals_total", "Errors of the gateway's own.")
_STALE = _Family("gguf_configuration_stale", "1 while the newest configuration cannot be used.", "gauge")
_UNWRITTEN = _Family(
    "gguf_unwritten_usage_seconds", "Seconds for which the database has taken no usage; 0 while it does.", "gauge"
)

_COUNTERS = (_REQUESTS, _TOKENS, _BODY_BYTES, _FIRST_BYTE, _DURATION)
_GAUGES = (_OPEN, _CONNECTIONS, _QUEUE_LENGTH, _SLOTS_BUSY, _SLOTS, _STATUS, _UP)
_Texts = Sequence[str]  # one for each family


class DeploymentGauges(NamedTuple):
    """How things stand with a deployment. `connections` by state; `up` is None before the first probe.

    `slots` are how many requests may be at its upstream at a time.
    """

    under_way: int
    connections: tuple[tuple[str, int], ...]
    status: str
    up: bool | None
    slots: int


class Exposition:
    """Makes the text, again and again. `statuses` are all that a deployment can have."""

    def __init__(self, statuses: Collection[str]) -> None:
        self._statuses = statuses
        self._counters: dict[str, tuple[float, _Texts]] = {}
        self._gauges: dict[str, tuple[DeploymentGauges, _Texts]] = {}

    def pieces(
        self,
        traffic: Iterable[tuple[tuple[str, str], Traffic]],
        gauges: Mapping[str, Callable[[], DeploymentGauges]],
        refusals: Mapping[str, int],
        *,
        stale: bool,
        unwritten: float,
    ) -> Iterator[bytes]:
        """All of it, in pieces of about a millisecond's work each. `gauges` tells of each deployment there is.

        `stale`: the newest configuration cannot be used. For `unwritten` seconds the database has taken no usage.
        """
        carried: dict[str, list[tuple[str, Traffic]]] = {}
        for (deployment, endpoint), one in sorted(traffic, key=lambda item: item[0]):
            carried.setdefault(deployment, []).append((endpoint, one))
        yield (_REFUSALS.head() + _refusals(refusals)).encode()
        yield from self._families(_COUNTERS, sorted(carried), lambda name: self._counter_texts(name, carried[name]))
        yield from self._families(_GAUGES, sorted(gauges), lambda name: self._gauge_texts(name, gauges[name]()))
        for family, value in ((_STALE, float(stale)), (_UNWRITTEN, unwritten)):
            yield f"{family.head()}{family.name} {value}\n".encode()
        for gone in self._gauges.keys() - gauges.keys():
            del self._gauges[gone]

    def _families(
        self, families: Sequence[_Family], names: Sequence[str], texts_of: Callable[[str], _Texts]
    ) -> Iterator[bytes]:
        """The families, one after the other; the texts of all are brought up to date first."""
        found: list[_Texts] = []
        remaining = iter(names)
        while portion := [texts_of(name) for name in islice(remaining, _AT_ONCE)]:
            found += portion
            yield b""
        for number, family in enumerate(families):
            yield family.head().encode()
            for start in range(0, len(found), _AT_ONCE):
                yield "".join(texts[number] for texts in found[start : start + _AT_ONCE]).encode()

    def _counter_texts(self, deployment: str, carried: Sequence[tuple[str, Traffic]]) -> _Texts:
        seconds = sum(one.duration.total for _, one in carried)  # grows with every exchange
        known = self._counters.get(deployment)
        if known is None or known[0] != seconds:
            self._counters[deployment] = known = seconds, _written_counters(_escaped(deployment), carried)
        return known[1]

    def _gauge_texts(self, deployment: str, gauges: DeploymentGauges) -> _Texts:
        known = self._gauges.get(deployment)
        if known is None or known[0] != gauges:
            texts = _written_gauges(_escaped(deployment), gauges, self._statuses)
            self._gauges[deployment] = known = gauges, texts
        return known[1]


def _written_counters(deployment: str, carried: Sequence[tuple[str, Traffic]]) -> _Texts:
    of = f'{{deployment="{deployment}"'
    sent = sum(one.bytes_in for _, one in carried), sum(one.bytes_out for _, one in carried)
    tokens = {
        "cached": sum(one.cached for _, one in carried),
        "in": sum(one.tokens_in for _, one in carried),
        "out": sum(one.tokens_out for _, one in carried),
    }
    requests = "".join(
        f'{_REQUESTS.name}{of},ending="{ending}",endpoint="{endpoint}",status="{status or ""}"}} {float(number)}\n'
        for endpoint, one in carried
        for (status, ending), number in sorted(one.requests.items(), key=lambda item: (item[0][0] or 0, item[0][1]))
    )
    places = [(f'{of},endpoint="{endpoint}"', one) for endpoint, one in carried]
    return (
        requests,
        "".join(f'{_TOKENS.name}{of},kind="{kind}"}} {float(number)}\n' for kind, number in tokens.items()),
        "".join(
            f'{_BODY_BYTES.name}{of},direction="{direction}"}} {float(size)}\n'
            for direction, size in zip(("in", "out"), sent, strict=True)
        ),
        "".join(_histogram(_FIRST_BYTE.name, place, one.first_byte) for place, one in places),
        "".join(_histogram(_DURATION.name, place, one.duration) for place, one in places),
    )


def _written_gauges(deployment: str, gauges: DeploymentGauges, statuses: Collection[str]) -> _Texts:
    of, by_state = f'{{deployment="{deployment}"', dict(gauges.connections)
    return (
        f"{_OPEN.name}{of}}} {float(gauges.under_way)}\n",
        "".join(f'{_CONNECTIONS.name}{of},state="{state}"}} {float(number)}\n' for state, number in gauges.connections),
        f"{_QUEUE_LENGTH.name}{of}}} {float(by_state['waiting'])}\n",
        f"{_SLOTS_BUSY.name}{of}}} {float(by_state['in_use'])}\n",
        f"{_SLOTS.name}{of}}} {float(gauges.slots)}\n",
        "".join(f'{_STATUS.name}{of},status="{one}"}} {float(one == gauges.status)}\n' for one in statuses),
        "" if gauges.up is None else f"{_UP.name}{of}}} {float(gauges.up)}\n",
    )


def _histogram(name: str, place: str, histogram: Histogram) -> str:
    below = tuple(accumulate(histogram.counts))
    buckets = "".join(
        f'{name}_bucket{place},le="{bound}"}} {float(count)}\n' for bound, count in zip(_BOUNDS, below, strict=True)
    )
    return f"{buckets}{name}_count{place}}} {float(below[-1])}\n{name}_sum{place}}} {histogram.total}\n"


def _refusals(refusals: Mapping[str, int]) -> str:
    counted = sorted(refusals.items())
    return "".join(f'{_REFUSALS.name}{{reason="{_escaped(reason)}"}} {float(number)}\n' for reason, number in counted)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
