"""The text for Prometheus: what its own parser reads in it, and how little is written for a second time."""

from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.exchange import Ending, Exchange
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.prometheus_format import DeploymentGauges, Exposition

STATUSES = ("deploying", "ready")
UP = DeploymentGauges(1, (("in_use", 1), ("idle", 2), ("waiting", 3)), "ready", up=True, slots=4)
NEW = DeploymentGauges(0, (("in_use", 0), ("idle", 0), ("waiting", 0)), "deploying", up=None, slots=4)


def carried(metrics: Metrics, deployment: str, endpoint: str = "/v1/models", status: int = 200) -> None:
    exchange = Exchange("id")
    exchange.deployment, exchange.endpoint, exchange.status = deployment, endpoint, status
    exchange.ending, exchange.bytes_in, exchange.bytes_out = Ending.FINISHED, 3, 5
    exchange.first_byte_at = exchange.started + 0.03
    exchange.ended_at = exchange.started + 0.04
    metrics.add([exchange])


def pieces(exposition: Exposition, metrics: Metrics, gauges: dict[str, DeploymentGauges]) -> list[bytes]:
    told = {name: (lambda one=one: one) for name, one in gauges.items()}
    return list(exposition.pieces(metrics.traffic.items(), told, metrics.refusals, stale=False, unwritten=0.0))


def samples(written: Iterable[bytes]) -> dict[tuple[str, tuple[str, ...]], float]:
    text = b"".join(written).decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
    return {(one.name, tuple(one.labels.values())): float(one.value) for family in families for one in family.samples}


def test_prometheus_reads_every_number_in_its_family() -> None:
    metrics = Metrics()
    for endpoint in ("/v1/models", "/v1/models", "/v1/messages"):
        carried(metrics, "b", endpoint)
    carried(metrics, "a", status=404)
    metrics.refusals['odd "reason"\\'] += 1
    seen = samples(pieces(Exposition(STATUSES), metrics, {"b": UP, "new": NEW}))
    assert seen["gguf_requests_total", ("b", "finished", "/v1/models", "200")] == 2
    assert seen["gguf_requests_total", ("a", "finished", "/v1/models", "404")] == 1
    assert seen["gguf_body_bytes_total", ("b", "in")] == 9
    assert seen["gguf_body_bytes_total", ("b", "out")] == 15
    assert seen["gguf_tokens_total", ("b", "cached")] == 0
    bounds = ("0.02", "0.05", "+Inf")
    buckets = [seen["gguf_first_byte_seconds_bucket", ("b", "/v1/models", bound)] for bound in bounds]
    assert buckets == [0, 2, 2]
    assert seen["gguf_first_byte_seconds_count", ("b", "/v1/messages")] == 1
    assert 0.059 < seen["gguf_first_byte_seconds_sum", ("b", "/v1/models")] < 0.061
    assert seen["gguf_refusals_total", ('odd "reason"\\',)] == 1
    assert seen["gguf_open_exchanges", ("b",)] == 1
    assert seen["gguf_upstream_connections", ("b", "idle")] == 2
    names = ("gguf_queue_length", "gguf_slots_busy", "gguf_slots")
    assert [seen[name, ("b",)] for name in names] == [3, 1, 4]
    assert [seen["gguf_deployment_status", ("new", status)] for status in STATUSES] == [1, 0]
    assert seen["gguf_upstream_up", ("b",)] == 1
    assert ("gguf_upstream_up", ("new",)) not in seen
    assert seen["gguf_configuration_stale", ()] == 0


def test_what_has_changed_is_new_and_the_rest_is_kept() -> None:
    metrics, exposition = Metrics(), Exposition(STATUSES)
    for name in ("a", "b"):
        carried(metrics, name)
    first = samples(pieces(exposition, metrics, {"a": UP, "b": UP}))
    kept, gauges = exposition._counters["a"], exposition._gauges["a"]
    carried(metrics, "b")
    second = samples(pieces(exposition, metrics, {"a": UP, "b": NEW}))
    assert exposition._counters["a"] is kept
    assert exposition._gauges["a"] is gauges
    grown = {sample for sample in second if second[sample] != first.get(sample)}
    assert ("gguf_requests_total", ("b", "finished", "/v1/models", "200")) in grown
    assert ("gguf_deployment_status", ("b", "deploying")) in grown
    assert not {labels for _, labels in grown if labels[:1] == ("a",)}


def test_a_deployment_that_is_gone_keeps_its_counts_and_loses_its_gauges() -> None:
    metrics, exposition = Metrics(), Exposition(STATUSES)
    carried(metrics, "a")
    samples(pieces(exposition, metrics, {"a": UP}))
    seen = samples(pieces(exposition, metrics, {}))
    assert ("gguf_requests_total", ("a", "finished", "/v1/models", "200")) in seen
    assert ("gguf_open_exchanges", ("a",)) not in seen


@pytest.mark.slow
def test_very_many_deployments_are_written_in_small_pieces() -> None:
    metrics = Metrics()
    names = [f"model-{number}" for number in range(500)]
    for name in names:
        carried(metrics, name)
    written = pieces(Exposition(STATUSES), metrics, dict.fromkeys(names, UP))
    assert max(map(len, written)) < 128 * 1024
    assert len(samples(written)) > 500 * 40
