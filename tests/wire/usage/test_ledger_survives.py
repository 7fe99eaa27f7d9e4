"""A gateway that is killed, a database that is locked, full or gone: nothing is there twice, nearly nothing missing."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from random import Random
from time import monotonic

import pytest

from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.wire.operation.workers.several_workers import workers_of
from tests.wire.usage.conftest import Store, ask_times

Trouble = Callable[[GatewayProcess, Store], AbstractContextManager[None]]
_LOST_SECONDS = 2.0  # at most, of a process that is killed


@contextmanager
def locked(gateway: GatewayProcess, store: Store) -> Iterator[None]:
    """Another program holds the database's lock."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@contextmanager
def full(gateway: GatewayProcess, store: Store) -> Iterator[None]:
    """No file of the gateway's may grow."""
    before = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def gone(gateway: GatewayProcess, store: Store) -> Iterator[None]:
    """The folder of the database is elsewhere."""
    elsewhere = store.path.parent.with_name("elsewhere")
    store.path.parent.rename(elsewhere)
    yield
    elsewhere.rename(store.path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [locked, full, gone])
def test_a_database_that_takes_nothing_loses_nothing(
    start_gateway: StartGateway, store: Store, trouble: Trouble
) -> None:
    gateway = start_gateway(store.config)
    ask_times(gateway, store, 5)
    with trouble(gateway, store):
        ask_times(gateway, store, 5)
        gateway.log.wait_for("usage is not written yet, and kept")
        ask_times(gateway, store, 5)
    gateway.log.wait_for("usage is written again")
    gateway.stop()
    assert store.requests() == 15


def test_workers_write_to_the_same_rows(start_gateway: StartGateway, store: Store) -> None:
    gateway = start_gateway(store.config_with("workers: 2"))
    for _ in range(12):
        ask_times(gateway, store, 5)
    gateway.stop()
    assert store.requests() == 60


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_nothing_along_that_was_written(
    start_gateway: StartGateway, store: Store
) -> None:
    gateway = start_gateway(store.config_with("workers: 2"))
    for _ in range(8):
        ask_times(gateway, store, 5)
    wait_until(lambda: store.requests() == 40, "what was asked is never written")
    os.kill(workers_of(gateway)[0], signal.SIGKILL)
    gateway.log.wait_for("worker")
    ask_times(gateway, store, 5)
    gateway.stop()
    assert store.requests() == 45


def killed_under_load(start_gateway: StartGateway, store: Store, seconds: float) -> tuple[int, int, int]:
    """How many requests a gateway has noted that was killed; how many it had answered 2 s before, and in all."""
    before, answered = store.requests(), []
    gateway = start_gateway(store.config, serves=False).wait_until_serving()
    with gateway.connect() as client:
        until = monotonic() + seconds
        while monotonic() < until:
            assert client.ask(store.ask).status == 200
            answered.append(monotonic())
        gateway.stop(signal.SIGKILL)
    sure = sum(at < until - _LOST_SECONDS for at in answered)
    return store.requests() - before, sure, len(answered)


@pytest.mark.slow
def test_a_gateway_that_is_killed_has_written_nothing_twice(start_gateway: StartGateway, store: Store) -> None:
    for seconds in (1.2, 1.2):
        noted, _, answered = killed_under_load(start_gateway, store, seconds)
        assert 0 < noted <= answered


@pytest.mark.tools
@pytest.mark.timeout(900)
def test_fifty_kills_under_load_lose_two_seconds_each_at_most(start_gateway: StartGateway, store: Store) -> None:
    random = Random(1)
    for _ in range(50):
        noted, sure, answered = killed_under_load(start_gateway, store, random.uniform(1.0, 4.5))
        assert sure <= noted <= answered
