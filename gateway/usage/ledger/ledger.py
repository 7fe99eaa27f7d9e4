"""Adds up every exchange that ends, off the way of requests, and has it written once a second."""

import asyncio
import contextlib
import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from operator import attrgetter
from pathlib import Path
from time import monotonic, time
from typing import Protocol

from aiohttp import web

from gateway.config.document import SourceError, counted
from gateway.core.exchange import Exchange
from gateway.core.usage_sums import SUMS
from gateway.telemetry import usage_counts
from gateway.telemetry.usage_counts import UsageCounts
from gateway.usage.ledger.prompt_sizes import PromptSizes
from gateway.usage.ledger.sums import PERIOD_SECONDS, AccountingPeriod, Batch, PeriodSums, period_at

_MOST_ROWS = 20_000  # kept while the database is away: some 11 MB; beyond them the oldest hours are merged
_SECONDS = 1.0  # from a batch to the next: with the time that one takes, a killed process loses less than 2 s
_MOST_KEPT = 256  # exchanges: to add up so many takes 0.7 ms, in which nobody else is served
_LAST_TRIES = 3  # that may fail, of the last batches, once the gateway has stopped
_AGAIN_SECONDS = 0.3  # between two of them

_COUNTED = [SUMS.index(name) for name in usage_counts.COLUMNS]

_FORGOTTEN_EVERY = 3600.0  # seconds
_BREATH_SECONDS = 0.05  # between two hours that are removed, in which others may write
_BATCHES_KEPT = timedelta(days=1)  # the ids of batches: none is tried again later

log = logging.getLogger("gateway.usage")


class Writer(Protocol):
    """Writes batches to a database, each once whatever happens. Raises SourceError, and then may have written it.

    `forget` removes one old hour, and old batches' ids. True if there may be more.
    """

    async def write(self, batch: Batch) -> None: ...

    async def forget(self, before: datetime, batches_before: datetime) -> bool: ...

    async def close(self) -> None: ...


class Ledger:
    """Who used how much, since the last batch that the database has taken.

    A batch whose writing failed is written again as it was, under its own id; what ends meanwhile is added up for the
    next. `problem` says why the database takes none now, since `failing_since` (monotonic); what was used since
    `waiting_since` (Unix time) is not there yet. `merged` are the periods of which keys are told apart no longer,
    because too much waited to be written: their rows have no key, in the database too. `counts` are told of each second
    once, whether the database takes it or not. `prompt_sizes` learn what is added.
    """

    def __init__(
        self,
        writer: Writer | None,
        zone: tzinfo,
        counts: UsageCounts | None = None,
        hours_days: int = 90,
        clock: Callable[[], float] = time,
    ) -> None:
        self.problem: str | None = None
        self.merged: set[AccountingPeriod] = set()
        self.failing_since = 0.0
        self.waiting_since: float | None = None
        self._counts = counts
        self._writer = writer
        self._zone = zone
        self._kept_for = timedelta(days=hours_days)
        self._clock = clock
        self._writing = asyncio.Lock()
        self._failed: Batch | None = None
        self._periods: dict[AccountingPeriod, PeriodSums] = {}  # not written yet
        self._second: dict[AccountingPeriod, PeriodSums] = {}  # of the present second, which is in none of them yet
        self.prompt_sizes = PromptSizes()
        self._ended: list[Exchange] = []  # and not added up yet

    @property
    def is_kept(self) -> bool:
        """Whether there is a database for it."""
        return self._writer is not None

    def add(self, exchange: Exchange) -> None:
        """Add an exchange that is over. It has a key, a deployment and an endpoint."""
        if self._writer is not None:
            self._ended.append(exchange)
            if len(self._ended) >= _MOST_KEPT:
                self._add_up()

    async def kept(self, _app: web.Application) -> AsyncIterator[None]:
        """Batches are written while the gateway serves, and a last one as it stops."""
        if self._writer is None:
            yield
            return
        stopping = asyncio.Event()
        task = asyncio.create_task(self._write_until(stopping), name="usage")
        forgetting = asyncio.create_task(self._forget_for_ever(), name="old usage")
        yield
        forgetting.cancel()
        stopping.set()
        await asyncio.wait((forgetting,))
        await task
        await self._writer.close()

    async def write(self) -> bool:
        """Write one batch. True if nothing is left of what there was to write."""
        if self._writer is None:
            return True
        async with self._writing:
            self._close_second()  # also where an old batch is written: what waits behind it is bounded
            batch = self._failed = self._failed or self._take()
            if batch is None:
                return True
            began = self._clock()
            try:
                await self._writer.write(batch)
            except SourceError as error:
                self.waiting_since = self.waiting_since or began
                self._note_problem(error.in_one_line)
                return False
            self._failed = self.waiting_since = None
            self._note_success()
            return not self._ended and not self._second and not self._periods

    def _close_second(self) -> None:
        """Add the sums of a second to what is to be written."""
        self._add_up()
        second, self._second = self._second, {}
        for period, sums in second.items():
            self._keep(period, sums)
        if second:
            self._bound()

    def _add_up(self) -> None:
        """Add what has ended since the last time to the sums of its hour and day."""
        ended, self._ended = self._ended, []
        if ended:
            now = self._clock()
            quarter = now // PERIOD_SECONDS * PERIOD_SECONDS
            turned = bisect_left(ended, monotonic() - (now - quarter), key=attrgetter("ended_at"))
            for at, exchanges in ((quarter - 1, ended[:turned]), (now, ended[turned:])):
                if exchanges:
                    sums = self._second.setdefault(period_at(at, self._zone), PeriodSums())
                    sums.add(exchanges, at, self.prompt_sizes)

    def _keep(self, period: AccountingPeriod, sums: PeriodSums) -> None:
        if self._counts is not None:
            for who, values in sums.values():
                self._counts.add(who.account, who.deployment, who.key, [values[one] for one in _COUNTED])
        known = self._periods.setdefault(period, sums)
        if known is not sums:  # the database is away
            known.add_sums(sums)

    def _bound(self) -> None:
        """Where too much waits to be written, tell keys and endpoints apart no longer: the oldest hours first."""
        while sum(len(sums.rows) for sums in self._periods.values()) > _MOST_ROWS:
            oldest = next((period for period in sorted(self._periods) if not self._periods[period].is_merged), None)
            if oldest is None:
                return
            self._periods[oldest] = self._periods[oldest].merged()
            self.merged.add(oldest)
            log.warning("usage of %s is kept by account and deployment only: the database is away", oldest.hour)

    def _take(self) -> Batch | None:
        self._close_second()
        periods, self._periods = self._periods, {}
        return Batch(periods) if periods else None

    async def _write_until(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not stopping.is_set():
            if self.problem is not None:
                begun = loop.time()  # a database that is locked for others is left to them for a while
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(begun + _SECONDS):
                    await stopping.wait()
            begun = loop.time()
            try:
                await self.write()
            except Exception:  # a fault of ours must not end the accounting: what was added up is kept, and tried again
                log.exception("internal error of the ledger")
        await self._write_the_last()

    async def _forget_for_ever(self) -> None:
        while True:
            await self.forget()
            await asyncio.sleep(_FORGOTTEN_EVERY)

    async def forget(self) -> None:
        """Remove the hours that are kept no longer, one by one."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        try:
            while self._writer is not None:
                if not await self._writer.forget(now - self._kept_for, now - _BATCHES_KEPT):
                    return
                await asyncio.sleep(_BREATH_SECONDS)
        except SourceError as error:
            log.warning("old usage is not removed yet: %s", error.in_one_line)

    async def _write_the_last(self) -> None:
        failures = 0
        while failures < _LAST_TRIES:
            if await self.write():
                return
            if self.problem is not None:  # else there is more to write
                failures += 1
                await asyncio.sleep(_AGAIN_SECONDS)
        left = (self._failed, self._take())
        lost = sum(batch.requests for batch in left if batch is not None)
        if lost:
            log.error("the usage of %s is lost: %s", counted(lost, "request"), self.problem)

    def _note_problem(self, problem: str) -> None:
        if self.problem is None:
            self.failing_since = monotonic()
        if self.problem != problem:
            log.warning("usage is not written yet, and kept: %s", problem)
        self.problem = problem

    def _note_success(self) -> None:
        if self.problem is not None:
            log.info("usage is written again, after %.0f s; nothing is lost", monotonic() - self.failing_since)
            self.problem = None


def writer_for(place: str | Path | None) -> Writer | None:
    """Who writes to the registry's database at this place; nobody where the registry is a file."""
    if place is None:
        return None
    if isinstance(place, Path):
        from gateway.usage.ledger.sqlite_writer import SqliteWriter

        return SqliteWriter(place)
    from gateway.usage.ledger.server_writer import ServerWriter

    return ServerWriter(place)


LEDGER = web.AppKey("ledger", Ledger)
