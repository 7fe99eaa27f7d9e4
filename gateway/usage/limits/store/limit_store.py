"""Where limits are counted: one small interface, and what its implementations that keep records have in common.

A store answers at once, since whoever asks is in the middle of a request. One on another machine would have to take
larger amounts in advance, and give them out here.
"""

import abc
import itertools
import time
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from gateway.core.rate_limits import Measure, RateLimit
from gateway.usage.limits.arithmetic import counting, sliding_minute, usual_tokens
from gateway.usage.limits.arithmetic.calendar_periods import Calendar
from gateway.usage.limits.arithmetic.counting import LimitStanding, PresentMoment
from gateway.usage.limits.arithmetic.record import Record


class CountedLimit(NamedTuple):
    """A limit that a request meets, and the `digest` by which it is counted."""

    limit: RateLimit
    digest: bytes


class Exceeded(NamedTuple):
    """The limits that a request would exceed. Nothing was taken."""

    standings: list[LimitStanding]


class Taken(NamedTuple):
    """What a request has taken, until it is settled: so much of each claim, and how these stand since.

    `usual` is the digest by which it is learned what such requests take; None: nothing is learned of this one.
    `epoch` says in which records it was counted.
    """

    claims: Sequence[CountedLimit]
    amounts: list[int]
    standings: list[LimitStanding]
    usual: bytes | None
    second: int
    slot: int
    epoch: int

    def part(self, begin: int, end: int) -> "Taken":
        """What was taken of these claims, by their places."""
        return self._replace(claims=self.claims[begin:end], amounts=self.amounts[begin:end])


class LimitStore(abc.ABC):
    """Counts. Each of its functions is done whole or, where it raises OSError, not at all."""

    @abc.abstractmethod
    def take(self, claims: Sequence[CountedLimit], usual: bytes | None) -> Taken | Exceeded:
        """Take one request, and the tokens that it is thought to take, of all the claims or of none."""

    @abc.abstractmethod
    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        """A request is over, and has taken so many tokens. None: nobody knows, so that what was reserved is used.

        One that was never sent to its model server has taken nothing.
        """

    @abc.abstractmethod
    def look(self, claims: Sequence[CountedLimit]) -> list[LimitStanding]:
        """How limits stand now, in their order."""

    @abc.abstractmethod
    def close(self) -> None:
        """Leave it. What has been taken and was not settled counts as used."""


class MachineClock:
    """The time, as the tests can set it."""

    # Of Linux, it goes on while the machine sleeps; the other stands still, which lets a minute last longer.
    _steady = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def steady(self) -> int:
        """Nanoseconds since the machine was started: the clock never goes back, and is the same in all processes."""
        return time.clock_gettime_ns(self._steady)

    def wall(self) -> float:
        """The Unix time."""
        return time.time()


_EPOCHS = itertools.count()


class RecordStore(LimitStore):
    """A store that keeps records. What this process holds is in its `slot`; each set of records has its `epoch`."""

    slot = 0

    def __init__(self, zone: tzinfo, clock: MachineClock) -> None:
        self.epoch = next(_EPOCHS)
        self._calendar = Calendar(zone)
        self._clock = clock

    @abc.abstractmethod
    def get(self, digest: bytes, measure: Measure | None) -> Record:
        """A record, as it is or blank. Called while the records are locked, as `put` is."""

    @abc.abstractmethod
    def put(self, record: Record) -> None:
        """Keep a record."""

    @abc.abstractmethod
    def _lock(self) -> None:
        """Keep all others off the records. Raises OSError where they cannot be had."""

    @abc.abstractmethod
    def _unlock(self) -> None:
        """Let others have them."""

    def _is_dead(self, slot: int) -> bool:
        """Whether a process that holds something is no more."""
        return False

    def take(self, claims: Sequence[CountedLimit], usual: bytes | None) -> Taken | Exceeded:
        self._lock()
        try:
            moment = self.moment()
            found = [self.get(claim.digest, claim.limit.measure) for claim in claims]
            exceeded = self._exceeded(claims, found, moment)
            if exceeded:
                return Exceeded(exceeded)
            known = None if usual is None else self.get(usual, None)
            amounts, standings = [], []
            for claim, record in zip(claims, found, strict=True):
                amount = 1
                if known is not None and counting.is_of_tokens(claim.limit.measure):
                    amount = usual_tokens.reservation(known, claim.limit.amount)
                counting.take(record, moment, self.slot, amount)
                self.put(record)
                amounts.append(amount)
                held, resets_in = record.held, counting.resets_in(record, moment)
                standings.append(LimitStanding(claim.limit, record.used + held, held, 0.0, resets_in))
        finally:
            self._unlock()
        return Taken(claims, amounts, standings, usual, moment.steady // sliding_minute.SECOND, self.slot, self.epoch)

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        self._lock()
        try:
            if taken.epoch != self.epoch:  # it counted as used when those records were left
                return
            moment = self.moment()
            for claim, amount in zip(taken.claims, taken.amounts, strict=True):
                record = self.get(claim.digest, claim.limit.measure)
                counting.enter(record, moment)
                if claim.limit.measure is counting.REQUESTS:
                    sliding_minute.give_back(record, taken.second, 0 if was_sent else amount)
                else:
                    used = 0 if not was_sent else amount if tokens is None else tokens
                    counting.settle(record, moment, taken.slot, amount, used)
                self.put(record)
            if taken.usual is not None and tokens:
                known = self.get(taken.usual, None)
                usual_tokens.learn(known, tokens)
                self.put(known)
        finally:
            self._unlock()

    def look(self, claims: Sequence[CountedLimit]) -> list[LimitStanding]:
        self._lock()
        try:
            moment = self.moment()
            found = [self.get(claim.digest, claim.limit.measure) for claim in claims]
            for record in found:
                counting.enter(record, moment)
                if record.held:
                    self._bury_dead(record, moment)
        finally:
            self._unlock()
        return [counting.standing(one, claim.limit, moment) for one, claim in zip(found, claims, strict=True)]

    def begin_anew(self) -> None:
        """The records are others from now on."""
        self.epoch = next(_EPOCHS)

    def moment(self) -> PresentMoment:
        """Now."""
        wall = self._clock.wall()
        return PresentMoment(self._clock.steady(), wall, self._calendar.day(wall), self._calendar.month(wall))

    def _exceeded(
        self, claims: Sequence[CountedLimit], found: Sequence[Record], moment: PresentMoment
    ) -> list[LimitStanding]:
        exceeded = []
        for claim, record in zip(claims, found, strict=True):
            counting.enter(record, moment)
            if record.used + record.held < claim.limit.amount or claim.limit.is_shadow:
                continue
            self._bury_dead(record, moment)
            standing = counting.standing(record, claim.limit, moment)
            if standing.wait:
                exceeded.append(standing)
        return exceeded

    def _bury_dead(self, record: Record, moment: PresentMoment) -> None:
        for slot in record.holders():
            if slot != self.slot and self._is_dead(slot):
                counting.bury(record, moment, slot)
