"""What the ledger keeps in memory while the database is away: all of it, up to a bound, and what becomes of it then."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic

import pytest
from aiohttp import web

from gateway.config.document import SourceError
from gateway.core.answer.usage import Usage
from gateway.core.exchange import Exchange
from gateway.telemetry.usage_counts import UsageCounts
from gateway.usage.ledger import ledger as ledger_module
from gateway.usage.ledger.ledger import Ledger
from gateway.usage.ledger.sums import Batch, SumsRow
from tests.harness.virtual_time import VirtualTimeLoop

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Shelf:
    """A writer that takes batches, or refuses them; with `commits_first` it takes them, and says that it failed."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.is_away = True
        self.commits_first = False

    async def write(self, batch: Batch) -> None:
        if self.commits_first or not self.is_away:
            self.batches.append(batch)
        if self.is_away:
            raise SourceError("gateway.db: is locked by another program")

    async def forget(self, before: datetime, batches_before: datetime) -> bool:
        return False

    async def close(self) -> None: ...

    def rows(self) -> Iterator[SumsRow]:
        """Of all batches, each once."""
        for batch in {batch.id: batch for batch in self.batches}.values():
            yield from batch.usage()


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(shelf: Shelf, clock: Clock) -> Ledger:
    return Ledger(shelf, UTC, clock=clock)


def exchange(key: str = "key_1", deployment: str = "chat", ended_before: float = 0.0) -> Exchange:
    made = Exchange("x")
    made.account, made.key, made.deployment, made.endpoint = "acme", key, deployment, "/v1/messages"
    made.usage = Usage(3, 5)
    made.ended_at = monotonic() - ended_before
    return made


async def until_written(ledger: Ledger) -> None:
    while not await ledger.write():
        pass


async def test_a_batch_that_was_written_but_said_to_have_failed_keeps_its_id(ledger: Ledger, shelf: Shelf) -> None:
    shelf.commits_first = True
    ledger.add(exchange())
    assert not await ledger.write()
    ledger.add(exchange())
    shelf.is_away = False
    await until_written(ledger)
    assert len({batch.id for batch in shelf.batches}) == 2
    assert sum(row.values[0] for row in shelf.rows()) == 2


class ShortlyAway(Shelf):
    """Away for three tries."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    async def write(self, batch: Batch) -> None:
        self.tries += 1
        self.is_away = self.tries <= 3
        await super().write(batch)


async def test_what_came_after_a_batch_that_failed_is_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_AGAIN_SECONDS", 0)
    shelf = ShortlyAway()
    ledger = Ledger(shelf, UTC)
    ledger.add(exchange())
    assert not await ledger.write()
    ledger.add(exchange())
    await ledger._write_the_last()
    assert sum(row.values[0] for row in shelf.rows()) == 2


async def test_an_exchange_belongs_to_the_hour_in_which_it_ended(ledger: Ledger, shelf: Shelf, clock: Clock) -> None:
    clock.now = NOON + HOUR + 0.5
    ledger.add(exchange(ended_before=0.9))
    ledger.add(exchange(ended_before=0.1))
    shelf.is_away = False
    await until_written(ledger)
    assert [(row.period.hour.hour, row.values[0]) for row in shelf.rows()] == [(12, 1), (13, 1)]


async def test_a_clock_that_is_set_back_loses_nothing(ledger: Ledger, shelf: Shelf, clock: Clock) -> None:
    shelf.is_away = False
    for moment in (NOON, NOON - 30 * HOUR, NOON + 30 * HOUR):
        clock.now = moment
        ledger.add(exchange())
        await until_written(ledger)
    assert [(row.period.day, row.values[0]) for row in shelf.rows()] == [
        ("2026-11-28", 1),
        ("2026-11-27", 1),
        ("2026-11-29", 1),
    ]


async def test_beyond_the_bound_the_oldest_hour_is_merged_and_sums_stay(
    ledger: Ledger, shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger_module, "_MOST_ROWS", 25)
    ledger.add(exchange("key_of_the_batch_that_fails"))
    assert not await ledger.write()
    for hour in range(4):
        clock.now = NOON + hour * HOUR + 60
        for number in range(10):
            ledger.add(exchange(f"key_{number}", "chat" if number % 2 else "code"))
        assert not await ledger.write()
    assert sorted(period.hour.hour for period in ledger.merged) == [12, 13]
    assert "usage of 2026-11-28 12:00:00+00:00 is kept by account and deployment only" in caplog.text
    shelf.is_away = False
    await until_written(ledger)
    found = list(shelf.rows())
    assert [sum(row.values[column] for row in found) for column in (0, 2, 4)] == [41, 123, 205]
    merged = [(row.who.deployment, row.values[0]) for row in found if not row.who.key]
    assert merged == [("code", 5), ("chat", 5)] * 2


async def test_counts_go_on_while_the_database_is_away(shelf: Shelf) -> None:
    counts = UsageCounts(most_keys=5)
    ledger = Ledger(shelf, UTC, counts)
    for number in range(1, 4):
        ledger.add(exchange())
        assert not await ledger.write()
        assert [(user.key, values[0]) for user, values in counts.rows.items()] == [("key_1", number)]
    shelf.is_away = False
    await until_written(ledger)
    assert [values[:2] for values in counts.rows.values()] == [[3, 9]]


class Faulty(Shelf):
    """Fails once as nothing should."""

    async def write(self, batch: Batch) -> None:
        if not self.batches and self.is_away:
            self.is_away = False
            raise RuntimeError("can't start new thread")
        await super().write(batch)


async def test_a_fault_in_writing_ends_neither_writing_nor_the_gateway(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger_module, "_SECONDS", 0.001)
    shelf, app = Faulty(), web.Application()
    ledger = Ledger(shelf, UTC)
    ledger.add(exchange())
    app.cleanup_ctx.append(ledger.kept)
    app.freeze()
    await app.startup()
    while not shelf.batches:
        await asyncio.sleep(0)
    await app.cleanup()
    assert sum(row.values[0] for row in shelf.rows()) == 1
    assert "internal error of the ledger" in caplog.text


class Slow(Shelf):
    """Takes most of a second for each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.begun: list[float] = []

    async def write(self, batch: Batch) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.75)
        await super().write(batch)


async def kept_for_ten_seconds(shelf: Shelf) -> None:
    """With something to write in each of them."""
    ledger, app = Ledger(shelf, UTC), web.Application()
    app.cleanup_ctx.append(ledger.kept)
    app.freeze()
    await app.startup()
    for _ in range(100):
        ledger.add(exchange())
        await asyncio.sleep(0.1)
    await app.cleanup()


def test_batches_begin_a_second_after_another_however_long_each_takes() -> None:
    """So who is killed loses what came in a second, and in the time that it takes to write."""
    shelf = Slow()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(kept_for_ten_seconds(shelf))
    assert shelf.begun[:9] == pytest.approx(range(1, 10))


async def test_a_busy_second_is_added_up_in_small_parts_and_told_once(shelf: Shelf, clock: Clock) -> None:
    counts, number = UsageCounts(), 5_000
    ledger = Ledger(shelf, UTC, counts, clock=clock)
    shelf.is_away = False
    kept = []
    for _ in range(number):
        ledger.add(exchange())
        kept.append(len(ledger._ended))
    assert max(kept) < 1_000  # 20,000 stopped the event loop for 50 ms
    assert await ledger.write()
    assert [row.values[0] for row in shelf.rows()] == [number]
    assert [values[0] for values in counts.rows.values()] == [number]


async def test_a_registry_that_is_a_file_keeps_nothing() -> None:
    ledger = Ledger(None, UTC)
    ledger.add(exchange())
    assert await ledger.write()
    assert ledger._ended == []
