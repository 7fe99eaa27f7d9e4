"""The benchmark in miniature: everything it is made of runs, and what it writes is what it measured."""

import hashlib
import os
import sys
from array import array
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts import bench
from scripts.benchmark import report, targets
from scripts.benchmark.backend import DONE
from scripts.benchmark.figures import percentile
from scripts.benchmark.measures import Bench, Cores, Profile
from scripts.benchmark.process import Process, StartError
from scripts.benchmark.record import KINDS, Demand, Record, demands, dump, load, machine, put_first
from scripts.benchmark.streams import Events
from scripts.scaling import report as scaling

TINY = Profile(
    rounds=1,
    turns=1,
    seconds=0.2,
    repeats=1,
    calm_repeats=1,
    streams=8,
    stream_seconds=1,
    interval=0.05,
    starts=1,
    firsts=3,
    large_bodies=1,
    slow_seconds=0.1,
    idle_seconds=0.3,
)


@pytest.mark.tools
def test_a_miniature_measures_every_target_and_finds_every_byte(tmp_path: Path) -> None:
    before = set(_children())
    record = Record({"date": "2026-01-01"}, {"tool": "x", "pinned": "y", "streams": TINY.streams})
    said: list[str] = []
    parts = Bench(TINY, record, tmp_path, Cores(None, None, None), said.append)
    with targets.backend(tmp_path, None) as direct:
        home = targets.GatewayHome(tmp_path, direct)
        home.configure(in_yaml=True)
        with home.gateway(None) as gateway, targets.bare_relay(tmp_path, direct, None) as bare:
            for target in (direct, bare, gateway):
                parts.latencies(target)
                parts.delays(target)
                parts.many_streams(target)
            parts.requests([direct, bare, gateway])
            parts.odd_requests([bare, gateway])
            parts.events([bare, gateway])
            parts.neighbours(gateway)
    assert record.failures == []
    measured = {name for name, values in record.values.items() if "gateway" in values}
    assert measured == set(KINDS) - {name for name in KINDS if name.startswith(("start", "import", "idle", "spread_"))}
    assert 0 < record.values["event_cpu"]["gateway"][0] < 0.01
    assert 0 < record.values["stream_files"]["gateway"][0] <= 2.0
    assert said
    assert set(_children()) == before
    _check_what_is_written(record, tmp_path)


def _children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


def _check_what_is_written(record: Record, folder: Path) -> None:
    bench.write(record, folder)
    assert load((folder / "performance.json").read_text()) == [record]
    page = (folder / "performance.md").read_text()
    assert "| memory of each of 8 streams, KiB | at most 16 | " in page
    assert page.count("not measured") == 8  # three times beside nginx; start, import, twice idle, two workers
    ElementTree.parse(folder / "performance.svg")


@pytest.mark.tools
@pytest.mark.skipif(not targets.has_nginx(), reason="nginx is not installed")
def test_nginx_stands_before_the_backend_as_the_gateway_does(tmp_path: Path) -> None:
    record = Record(machine(), {"streams": 1})
    parts = Bench(TINY, record, tmp_path, Cores(None, None, None), lambda _: None)
    with targets.backend(tmp_path, None) as direct, targets.nginx(tmp_path, direct, None) as nginx:
        parts.events([nginx])
    assert record.failures == []
    assert record.values["event_cpu"]["nginx"][0] < 0.01


def _events() -> list[bytes]:
    """A stream as the backend writes it, event by event."""
    events = [b'data: {"n":%d,"t":1}\n\n' % number for number in range(3)]
    hashed = hashlib.sha256(b"".join(events)).hexdigest().encode()
    return [*events, b'data: {"sha256":"%b"}\n\n' % hashed, DONE]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_whole_however_it_is_cut_into_pieces(size: int) -> None:
    body, reader = b"".join(_events()), Events(array("d"))
    for start in range(0, len(body), size):
        assert not reader.is_whole
        reader.feed(body[start : start + size])
    assert reader.is_whole


@pytest.mark.parametrize(
    "events",
    [
        _events()[:-1],
        _events()[1:],
        [*_events(), DONE],
        [_events()[0].replace(b"0", b"9"), *_events()[1:]],
        [*_events(), b": ping\n\n"],
        [*_events(), b"x"],
    ],
    ids=["no end", "one missing", "two ends", "one altered", "more after the end", "half an event after the end"],
)
def test_a_stream_that_is_not_what_was_sent_is_noticed(events: list[bytes]) -> None:
    reader = Events(array("d"))
    reader.feed(b"".join(events))
    assert not reader.is_whole


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], percent) for percent in (0, 50, 75, 99, 100)] == [1.0, 2.0, 3.0, 4.0, 4.0]


def test_what_a_target_adds_is_reckoned_round_by_round() -> None:
    record = Record({}, {})
    for direct, gateway in ((1.0, 1.5), (2.0, 2.25), (1.0, 1.125)):
        record.add("first_p50", "direct", direct)
        record.add("first_p50", "gateway", gateway)
    added = record.added("first_p50", "gateway")
    assert added is not None
    assert (added.low, added.median, added.high) == (125.0, 250.0, 500.0)


@pytest.mark.parametrize(
    ("seen", "verdict"), [(None, "not measured"), (1.0, "reached"), (1.01, "not reached"), (0.0, "reached")]
)
def test_a_demand_is_reached_at_its_limit(seen: float | None, verdict: str) -> None:
    assert Demand("x", 1.0, seen).verdict == verdict


def test_a_stream_that_is_not_whole_fails_a_demand() -> None:
    record = Record({}, {"streams": 1}, failures=["gateway: 1 of 8 streams are not whole"])
    assert [demand.verdict for demand in demands(record)].count("not reached") == 1
    failed = Record({"date": "d"}, {"streams": 1, "pinned": "", "tool": ""}, {}, ["1 of 8 streams"])
    assert "1 of 8 streams" in report.page([failed])


def test_the_last_run_of_each_host_and_interpreter_is_kept() -> None:
    def run(date: str, processor: str, python: str = "3.11") -> Record:
        return Record(
            {"date": date, "processor": processor, "Python": python},
            {"streams": 1, "pinned": "", "tool": ""},
            {"idle_memory": {"gateway": [45.64e6]}},
        )

    old, other, newer, new = run("1", "2 cores"), run("2", "8 cores"), run("3", "2 cores", "3.14"), run("4", "2 cores")
    kept = put_first(new, put_first(newer, put_first(other, [old])))
    assert kept == [new, newer, other]
    assert load(dump(kept)) == kept
    assert "| 2 | 8 cores | Python 3.11, unknown how it was built | – | – | – | – | – | 45.6 |" in report.page(kept)
    assert "| 3 | 2 cores | Python 3.14," in report.page(kept)


def test_a_process_that_does_not_start_is_told_with_its_own_last_words(tmp_path: Path) -> None:
    process = Process((sys.executable, "-c", "raise SystemExit('no such luck')"), tmp_path / "said")
    with pytest.raises(StartError, match="did not start: no such luck"):
        process.wait_for("(ready)")


def test_the_page_in_the_repository_is_what_the_record_says() -> None:
    record = bench.DOCS / "performance.json"
    if not record.exists():
        pytest.skip("there is no record yet")
    page = report.page(load(record.read_text()), scaling.section(bench.DOCS))
    assert page == record.with_suffix(".md").read_text()
