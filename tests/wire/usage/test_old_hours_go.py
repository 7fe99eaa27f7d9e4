"""Old hours go from a large database: no request waits for that, and no other writer for long."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from threading import Event, Thread
from time import monotonic, perf_counter

import pytest

from gateway.core.usage_sums import NUMBERS, SECONDS
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.storage.databases import rows
from tests.wire.usage.conftest import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_DAYS, _KEYS = 90, 463  # with rows of each key in each hour: a million
_KEPT = 83  # days
_BUSY = 100_000  # rows of one hour, as of a gateway of a hundred thousand keys
# Seconds: for most, and for anybody. Where nothing else runs it is 0.001, and 0.13 for the hour of so many rows.
# Whoever changes something waits for five.
_MOSTLY, _LONGEST = 0.1, 5.0
_NAMES = ("hour", "account", "key", "deployment", "endpoint", "ending", "person", *NUMBERS, *SECONDS)


def _fill(store: Store) -> datetime:
    """A million rows. Returns the oldest hour that is to stay."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=_DAYS)
    values = (*(1 for _ in NUMBERS), *(0.5 for _ in SECONDS))

    def filled() -> Iterator[tuple[object, ...]]:
        for number in range(_DAYS * 24):
            hour = f"{first + timedelta(hours=number):%Y-%m-%d %H}:00:00.000000"
            for key in range(_BUSY if number == 24 else _KEYS):
                yield (hour, "acme", f"key_{key:012x}", "demo", "POST /v1/chat/completions", "finished", "", *values)

    with closing(sqlite3.connect(store.path)) as database, database:
        places = ", ".join("?" * len(_NAMES))
        database.executemany(f"INSERT INTO usage_hours ({', '.join(_NAMES)}) VALUES ({places})", filled())
    return first + timedelta(days=_DAYS - _KEPT)


class OtherWriter:
    """Takes the database's lock again and again, and notes for how long it has waited each time."""

    def __init__(self, store: Store) -> None:
        self.waits: list[float] = []
        self._over = Event()
        self._thread = Thread(target=self._write, args=(store,))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _write(self, store: Store) -> None:
        with closing(sqlite3.connect(store.path, timeout=60, isolation_level=None)) as database:
            while not self._over.wait(0.002):
                begun = perf_counter()
                database.execute("BEGIN IMMEDIATE")
                self.waits.append(perf_counter() - begun)
                database.execute("ROLLBACK")


def test_a_million_rows_and_nobody_waits_while_the_old_ones_go(start_gateway: StartGateway, store: Store) -> None:
    oldest = _fill(store)
    gateway = start_gateway(store.config_with(f"usage: {{hours_days: {_KEPT}}}"), serves=False).wait_until_serving()
    other, took = OtherWriter(store), []
    begun = monotonic()

    def are_gone() -> bool:
        [(first,)] = rows(store.path, "SELECT min(hour) FROM usage_hours")
        return str(first) >= f"{oldest:%Y-%m-%d %H}"

    with gateway.connect() as client:
        while not are_gone():
            assert monotonic() - begun < 120
            for _ in range(50):
                asked = perf_counter()
                assert client.ask(store.ask).status == 200
                took.append(perf_counter() - asked)
    other.stop()
    is_noted = "SELECT sum(requests) FROM usage_hours WHERE person = '' AND key NOT LIKE 'key_00000%'"
    wait_until(lambda: rows(store.path, is_noted) == [(len(took),)], "a batch waits for more than a few seconds")
    assert "not written" not in gateway.log.since(0)
    for name, seconds in (("requests", took), ("writers", other.waits)):
        mostly = quantiles(seconds, n=100)[98]
        waited = f"{name}: {mostly:.4f} s at the 99th percentile, {max(seconds):.4f} s at most"
        assert mostly < _MOSTLY, waited
        assert max(seconds) < _LONGEST, waited
