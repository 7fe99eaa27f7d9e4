"""Limits in a file: several processes count together, and nothing that happens to them or to it lets more through."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path

import pytest

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic.record import RECORD_BYTES
from gateway.usage.limits.store import range_lock, shared_file
from gateway.usage.limits.store.fallback_store import FallbackStore
from gateway.usage.limits.store.limit_file import look_into
from gateway.usage.limits.store.limit_store import Exceeded, MachineClock, MetLimits, Taken
from gateway.usage.limits.store.memory_store import MemoryStore
from gateway.usage.limits.store.range_lock import RangeLock
from gateway.usage.limits.store.shared_file import HEADER_BYTES, SharedFile
from tests.unit.gateway.usage.limits.counting_process import CountingProcess
from tests.unit.gateway.usage.limits.set_clock import SetClock, claim

USUAL = b"usual".ljust(16, b"\0")
_DAY, _YEAR = 86400.0, 366 * 86400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits"


@contextmanager
def opened(path: Path, clock: MachineClock | None = None) -> Iterator[SharedFile]:
    store = SharedFile(path, UTC, clock or SetClock())
    try:
        yield store
    finally:
        store.close()


@contextmanager
def processes(path: Path, measure: Measure, amount: int, number: int) -> Iterator[list[CountingProcess]]:
    with ExitStack() as stack:
        found = [CountingProcess(path, measure, amount) for _ in range(number)]
        for each in found:
            stack.callback(each.kill)
        yield found


@contextmanager
def locking(store: SharedFile) -> Iterator[None]:
    """As a process that was stopped while it counts."""
    store._lock()
    yield
    store._unlock()


def passes(store: SharedFile | FallbackStore, measure: Measure, amount: int) -> bool:
    return isinstance(store.take(MetLimits([claim(measure, amount)], USUAL)), Taken)


@pytest.mark.slow
def test_four_processes_let_through_exactly_what_one_would(path: Path) -> None:
    with processes(path, Measure.REQUESTS_PER_MINUTE, 700, 4) as four:
        for each in four:
            each.tell("hammer 400")
        assert sum(int(each.answer()) for each in four) == 700


@pytest.mark.slow
def test_what_a_killed_process_had_under_way_holds_nobody_up(path: Path) -> None:
    with processes(path, Measure.CONCURRENT_REQUESTS, 3, 2) as (one, other):
        assert one.ask("hammer 3") == "3"
        assert other.ask("take") == "False"
        one.process.kill()
        one.process.wait()
        assert other.ask("hammer 5") == "3"


def test_who_only_looks_sees_that_a_killed_process_has_nothing_under_way(path: Path) -> None:
    with processes(path, Measure.CONCURRENT_REQUESTS, 3, 1) as [one]:
        assert one.ask("hammer 3") == "3"
        looked = [look_into(path, UTC, [claim(Measure.CONCURRENT_REQUESTS, 3)])[0].used]
    looked.append(look_into(path, UTC, [claim(Measure.CONCURRENT_REQUESTS, 3)])[0].used)
    assert looked == [3, 0]


def test_tokens_that_a_killed_process_had_reserved_are_used(path: Path) -> None:
    with processes(path, Measure.TOKENS_PER_DAY, 1000, 1) as [one]:
        assert one.ask("hammer 9") == "4"  # a quarter each, since nothing is known of their size
    with opened(path, MachineClock()) as store:
        [standing] = store.look([claim(Measure.TOKENS_PER_DAY, 1000)])
        assert standing.used == 1000


@pytest.mark.slow
@pytest.mark.parametrize("heard", [1, 40, 300])
def test_a_kill_in_the_middle_loses_nothing_and_leaks_nothing(path: Path, heard: int) -> None:
    with processes(path, Measure.REQUESTS_PER_MINUTE, 100_000, 1) as [one]:
        one.tell("chatter")
        for _ in range(heard):
            one.answer()
        one.process.kill()
        passed = heard + one.rest().count("True\n")
    with opened(path, MachineClock()) as store:
        [standing] = store.look([claim(Measure.REQUESTS_PER_MINUTE, 100_000)])
    assert passed <= standing.used <= passed + 1  # the last may not have been told any more


def test_a_file_of_something_else_is_set_aside_and_named_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"a diary\n" * 1000)
    with opened(path) as store, opened(path) as other:
        assert passes(store, Measure.REQUESTS_PER_MINUTE, 1)
        assert not passes(other, Measure.REQUESTS_PER_MINUTE, 1)
    [said] = [record.getMessage() for record in caplog.records]
    assert "limits count anew" in said
    [aside] = path.parent.glob("limits.set-aside-*")
    assert aside.read_bytes().startswith(b"a diary")


def test_records_that_are_damaged_are_taken_for_new(path: Path) -> None:
    with opened(path) as store:
        passes(store, Measure.REQUESTS_PER_MINUTE, 1)
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(os.urandom(RECORD_BYTES * 3 + 100))  # and an end that is no whole record
    with opened(path) as store, opened(path) as other:
        assert passes(store, Measure.REQUESTS_PER_MINUTE, 2)
        assert passes(other, Measure.REQUESTS_PER_MINUTE, 2)
        assert not passes(store, Measure.REQUESTS_PER_MINUTE, 2)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["removed", "emptied"])
def test_a_file_that_is_removed_under_it_is_made_anew(
    path: Path, harm: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "_LOOK_SECONDS", 0.0)
    with opened(path) as store, opened(path) as other:
        running = store.take(MetLimits([claim(Measure.CONCURRENT_REQUESTS, 1)], USUAL))
        assert callable(harm)
        harm(path)
        assert isinstance(running, Taken)
        assert passes(other, Measure.CONCURRENT_REQUESTS, 1)
        store.settle(running, 0, was_sent=True)  # it was counted in a file that is no more
        assert not passes(store, Measure.CONCURRENT_REQUESTS, 1)


def test_after_the_machine_was_started_again_days_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute, day = claim(Measure.REQUESTS_PER_MINUTE, 1), claim(Measure.TOKENS_PER_DAY, 100)
    with opened(path) as store:
        taken = store.take(MetLimits([minute, day], None))
        assert isinstance(taken, Taken)
        store.settle(taken, 70, was_sent=True)
        store.take(MetLimits([day], None))
    monkeypatch.setattr(shared_file, "_boot", lambda: b"another".ljust(64, b"\0"))
    with opened(path, SetClock(at=3.0)) as store:
        assert [one.used for one in store.look([minute, day])] == [0, 71]


def test_a_clock_that_was_wrong_locks_out_for_its_day_only(path: Path) -> None:
    clock = SetClock()
    budget = claim(Measure.TOKENS_PER_DAY, 1)
    with opened(path, clock) as one, opened(path, clock) as other:
        clock.unix += 10 * _YEAR
        taken = one.take(MetLimits([budget], USUAL))
        assert isinstance(taken, Taken)
        one.settle(taken, 1, was_sent=True)
        clock.unix -= 10 * _YEAR
        assert not passes(one, Measure.TOKENS_PER_DAY, 1), "what was used meanwhile stays used"
        assert passes(other, Measure.REQUESTS_PER_MINUTE, 100), "which makes all read anew what they know"
        clock.unix += _DAY
        assert passes(one, Measure.TOKENS_PER_DAY, 1)


def test_more_processes_than_there_is_room_for_count_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_file, "SLOTS", 2)
    with opened(path), opened(path), pytest.raises(OSError, match="2 processes count"):
        SharedFile(path, UTC, SetClock())


def fallback(path: Path) -> FallbackStore:
    clock = SetClock()
    return FallbackStore(lambda: SharedFile(path, UTC, clock), MemoryStore(UTC, clock))


def test_where_no_file_can_be_made_it_is_said_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = fallback(tmp_path / "missing" / "limits")
    with caplog.at_level(logging.WARNING):
        answers = [passes(store, Measure.REQUESTS_PER_MINUTE, 2) for _ in range(4)]
    assert answers == [True, True, False, False]
    [said] = [record.getMessage() for record in caplog.records]
    assert "each process alone" in said
    store.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_lock, "_PATIENCE", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_stopped_process_that_keeps_the_lock_stops_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = fallback(path)
    assert passes(store, Measure.REQUESTS_PER_MINUTE, 5)
    with opened(path) as other, locking(other):
        found = store.take(MetLimits([claim(Measure.REQUESTS_PER_MINUTE, 5)], USUAL))
    assert isinstance(found, Taken)
    assert "keeps the file of limits locked" in caplog.text
    store.settle(found, 0, was_sent=True)
    store.close()


@pytest.mark.usefixtures("impatient")
def test_what_could_not_be_settled_is_settled_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fallback(path)
    one = [claim(Measure.CONCURRENT_REQUESTS, 1)]
    running = store.take(MetLimits(one, None))
    assert isinstance(running, Taken)
    with opened(path) as other, locking(other):
        store.settle(running, 0, was_sent=True)
    assert isinstance(store.take(MetLimits(one, None)), Taken | Exceeded)
    monkeypatch.setattr(store, "_retry_at", 0.0)
    assert isinstance(store.take(MetLimits(one, None)), Taken)
    store.close()


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fallback(path)
    claims = [claim(Measure.CONCURRENT_REQUESTS, 1), claim(Measure.REQUESTS_PER_MINUTE, 9, "other")]
    written = iter([RECORD_BYTES])

    def write(file: int, data: bytes, at: int) -> int:
        if next(written, None) is None:
            raise OSError("no space left")
        return pwrite(file, data, at)

    pwrite = os.pwrite
    store.look(claims)
    monkeypatch.setattr(os, "pwrite", write)
    assert isinstance(store.take(MetLimits(claims, None)), Taken)  # by this process alone
    monkeypatch.undo()
    monkeypatch.setattr(store, "_retry_at", 0.0)
    assert isinstance(store.take(MetLimits(claims, None)), Taken)
    store.close()


@pytest.mark.parametrize("only_looks", [False, True])
def test_who_opens_a_file_of_many_records_keeps_nobody_off(
    path: Path, monkeypatch: pytest.MonkeyPatch, only_looks: bool
) -> None:
    taken = claim(Measure.CONCURRENT_REQUESTS, 100)
    with opened(path) as store:
        for number in range(300):
            found = store.take(MetLimits([taken._replace(digest=number.to_bytes(16, "big"))], None))
            if number < 299 and isinstance(found, Taken):
                store.settle(found, None, was_sent=True)
    held, seen = [False], [0]
    acquire, release, read = RangeLock.acquire, RangeLock.release, os.pread

    def acquired(lock: RangeLock) -> None:
        acquire(lock)
        held[0] = True

    def released(lock: RangeLock) -> None:
        held[0] = False
        release(lock)

    def seen_read(file: int, size: int, at: int) -> bytes:
        seen[0] += held[0]
        return read(file, size, at)

    monkeypatch.setattr(RangeLock, "acquire", acquired)
    monkeypatch.setattr(RangeLock, "release", released)
    monkeypatch.setattr(os, "pread", seen_read)
    store = SharedFile(path, UTC, SetClock(), only_looks=only_looks)
    [standing] = store.look([taken._replace(digest=(299).to_bytes(16, "big"))])
    store.close()
    monkeypatch.undo()
    assert standing.used == 0  # its process is gone
    assert seen[0] < 20
