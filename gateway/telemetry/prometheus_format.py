"""The numbers in Prometheus's text format. Imported when somebody first asks: the library takes its time to load."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry.metrics import Counts, Histogram, Labels

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# name -> (help, label names, values): what is true at the moment of asking
Gauges = Mapping[str, tuple[str, Labels, Mapping[Labels, float]]]


def expose(counts: Counts, gauges: Gauges) -> bytes:
    """All counters and gauges."""
    registry = CollectorRegistry()
    registry.register(_Collector(lambda: _families(counts, gauges)))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _families(counts: Counts, gauges: Gauges) -> Iterator[Metric]:
    place = ("deployment", "endpoint")
    yield _counter("gguf_requests_total", "Requests to a deployment.", (*place, "status", "ending"), counts.requests)
    yield _counter("gguf_refusals_total", "Errors of the gateway's own.", ("reason",), counts.refusals)
    yield _counter(
        "gguf_tokens_total", "Tokens, as the model servers count them.", ("deployment", "kind"), counts.tokens
    )
    yield _counter("gguf_body_bytes_total", "Bytes of bodies carried.", ("deployment", "direction"), counts.body_bytes)
    yield _histogram("gguf_first_byte_seconds", "Time to the first byte of an answer.", place, counts.first_byte)
    yield _histogram("gguf_duration_seconds", "Time to the end of an answer.", place, counts.duration)
    for name, (text, labels, values) in gauges.items():
        yield _gauge(name, text, labels, values)


def _counter(name: str, text: str, labels: Labels, counts: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, labels: Labels, histograms: Mapping[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in sorted(histograms.items()):
        family.add_metric(values, list(histogram.buckets()), histogram.total)
    return family


def _gauge(name: str, text: str, labels: Labels, numbers: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in sorted(numbers.items()):
        family.add_metric(values, number)
    return family
