"""Who used how much, for Prometheus: sums by account and deployment, and keys within a bound."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.usage_counts import UsageCounts, pieces
from gateway.telemetry.worker_metrics import Packer, WorkerCounts

USED = (2, 30, 10, 5, 0.5, 4.0)


def told(counts: UsageCounts) -> dict[tuple[str, ...], float]:
    text = b"".join(pieces(counts)).decode()
    return {
        (one.name.removeprefix("gguf_usage_"), *one.labels.values()): float(one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_keys_are_not_told_apart_unless_a_setting_says_so() -> None:
    counts = UsageCounts()
    for key in ("key_a", "key_b"):
        counts.add("acme", "demo", key, USED)
    assert told(counts) == {
        ("requests_total", "acme", "demo"): 4,
        ("tokens_total", "acme", "demo", "cached"): 20,
        ("tokens_total", "acme", "demo", "in"): 60,
        ("tokens_total", "acme", "demo", "out"): 10,
        ("queue_seconds_total", "acme", "demo"): 1,
        ("slot_seconds_total", "acme", "demo"): 8,
    }


def test_keys_beyond_the_bound_are_one() -> None:
    counts = UsageCounts(most_keys=2)
    for key in ("key_a", "key_b", "key_c", "key_d", "key_a"):
        counts.add("acme", "demo", key, USED)
    requests = {labels[2:]: value for labels, value in told(counts).items() if labels[0] == "requests_total"}
    assert requests == {("demo", "key_a"): 4, ("demo", "key_b"): 2, ("demo", "other"): 4}


def test_the_counts_of_a_worker_are_those_that_it_has_packed() -> None:
    worker, own = Metrics(most_keys=1), Metrics(most_keys=1)
    for key in ("key_a", "key_b"):
        worker.usage.add("acme", "demo", key, USED)
    own.usage.add("acme", "demo", "key_z", USED)
    packed = Packer().packed(worker, {}, {})
    taken_over = WorkerCounts.unpacked(packed).metrics
    assert taken_over.usage.rows == worker.usage.rows
    own.add_all(taken_over)
    assert {user.key: row[0] for user, row in own.usage.rows.items()} == {"key_z": 2, "key_a": 2, "other": 2}


def test_keys_that_a_worker_has_taken_over_count_towards_its_bound() -> None:
    before, own = Metrics(most_keys=1), Metrics(most_keys=1)
    before.usage.add("acme", "demo", "key_a", USED)
    own.add_all(before)
    for key in ("key_a", "key_b"):
        own.usage.add("acme", "demo", key, USED)
    assert {user.key: row[0] for user, row in own.usage.rows.items()} == {"key_a": 4, "other": 2}


def test_of_very_many_the_text_comes_in_pieces() -> None:
    counts = UsageCounts()
    for number in range(450):
        counts.add("acme", f"d{number:03}", "", USED)
    assert max(piece.count(b"\n") for piece in pieces(counts)) == 600
    assert len(told(counts)) == 450 * 6
