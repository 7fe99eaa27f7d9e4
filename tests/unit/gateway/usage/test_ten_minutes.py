"""Ten minutes, by the clock, in which a real database takes nothing: all of it is there afterwards, and once.

The clock is the event loop's and is virtual; the ledger, its writer and the database are those that serve.
"""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from gateway.core.answer.usage import Usage
from gateway.core.exchange import Exchange
from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.usage.ledger import ledger as ledger_module
from gateway.usage.ledger import sqlite_writer
from gateway.usage.ledger.ledger import Ledger
from gateway.usage.ledger.sqlite_writer import SqliteWriter
from gateway.usage.ledger.sums import Batch
from tests.harness.storage.databases import rows
from tests.harness.virtual_time import VirtualTimeLoop

BEGIN = datetime(2026, 11, 28, 12, 55, tzinfo=UTC).timestamp()  # so that an hour ends in the middle
MINUTES = 10
A_SECOND = 4  # requests
KEYS = 8

Trouble = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database's lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


@contextmanager
def full(path: Path) -> Iterator[None]:
    """There is no byte left on its disk."""
    filler, disk = path.with_name("filler"), os.statvfs(path)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize))
    assert os.statvfs(path).f_bavail == 0
    yield
    filler.unlink()


@contextmanager
def absent(path: Path) -> Iterator[None]:
    """It is elsewhere."""
    path.rename(path.with_name("elsewhere"))
    yield
    path.with_name("elsewhere").rename(path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder))
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here, so none can be full")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself would wait for a lock by another clock."""
    monkeypatch.setattr(sqlite_writer, "_PATIENCE", 0.0)


class Counted(SqliteWriter):
    """Counts how often it was to write."""

    tries = 0

    async def write(self, batch: Batch) -> None:
        self.tries += 1
        await super().write(batch)


def exchange(number: int, ended_at: float) -> Exchange:
    made = Exchange("x")
    made.account, made.key, made.deployment, made.endpoint = "acme", f"key_{number % KEYS}", "chat", "/v1/messages"
    made.usage = Usage(3, 5)
    made.sent_at = made.first_byte_at = made.started = made.ended_at = ended_at
    return made


async def use(ledger: Ledger, first: int, seconds: int) -> int:
    """Requests, four a second. Returns the number after the last."""
    loop = asyncio.get_running_loop()
    for number in range(first, first + seconds * A_SECOND):
        ledger.add(exchange(number, loop.time()))
        await asyncio.sleep(1 / A_SECOND)
    return first + seconds * A_SECOND


async def used(path: Path, *troubles: Trouble) -> int:
    """Serve, with each of the troubles for ten minutes, and leave. Returns how many requests there were."""
    loop, app = asyncio.get_running_loop(), web.Application()
    await prepare(database_url(path), create=True)
    started = loop.time()
    writer = Counted(path)
    ledger = Ledger(writer, UTC, clock=lambda: BEGIN + loop.time() - started)
    app.cleanup_ctx.append(ledger.kept)
    app.freeze()
    await app.startup()
    number = await use(ledger, 0, 5)
    for trouble in troubles:
        begun, tries = loop.time(), writer.tries
        with trouble(path):
            number = await use(ledger, number, MINUTES * 60)
            assert loop.time() - begun >= MINUTES * 60
            assert writer.tries - tries == pytest.approx(MINUTES * 60, abs=2)
            assert ledger.waiting_since == pytest.approx(BEGIN + begun - started, abs=2)
        await asyncio.sleep(3)
        assert ledger.problem is None
        assert requests(path) == [number] * 3  # long before the gateway stops
    assert ledger.merged == set()
    await app.cleanup()
    return number


def requests(path: Path) -> list[object]:
    """How many are in the database by hour, by day and by how long they took."""
    queries = (
        "SELECT sum(requests) FROM usage_hours",
        "SELECT sum(requests) FROM usage_days",
        "SELECT sum(number) FROM usage_latency WHERE measure = 'duration'",
    )
    return [rows(path, query)[0][0] for query in queries]


def by_key(path: Path) -> dict[object, list[object]]:
    """Requests and tokens of each."""
    query = "SELECT key, sum(requests), sum(tokens_in), sum(tokens_out) FROM usage_hours GROUP BY key"
    return {key: sums for key, *sums in rows(path, query)}


def check(path: Path, monkeypatch: pytest.MonkeyPatch, *troubles: Trouble) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        monkeypatch.setattr(ledger_module, "monotonic", runner.get_loop().time)
        number = runner.run(used(path, *troubles))
    assert number == A_SECOND * (5 + MINUTES * 60 * len(troubles))
    assert requests(path) == [number] * 3
    of_each = number // KEYS
    extra = number % KEYS
    expected = {f"key_{key}": of_each + (key < extra) for key in range(KEYS)}
    assert by_key(path) == {key: [count, 3 * count, 5 * count] for key, count in expected.items()}
    assert len(rows(path, "SELECT DISTINCT hour FROM usage_hours")) > 1


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [locked, absent])
def test_nothing_is_lost_while_the_database_is_locked_or_absent(
    tmp_path: Path, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path / "gateway.db", monkeypatch, trouble)


@pytest.mark.slow
def test_nothing_is_lost_while_it_is_locked_then_full_then_absent(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(disk / "gateway.db", monkeypatch, locked, full, absent)
