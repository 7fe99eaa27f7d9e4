"""Where limits are counted: one small interface, and what its implementations that keep records have in common.

A store answers at once, since whoever asks is in the middle of a request. One on another machine would have to take
larger amounts in advance, and give them out here.
"""

import abc
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import NamedTuple, Protocol

from gateway.core.rate_limits import Measure, RateLimit
from gateway.usage.limits.arithmetic import counting, sliding_minute, usual_tokens
from gateway.usage.limits.arithmetic.calendar_periods import Calendar
from gateway.usage.limits.arithmetic.counting import Moment, Standing
from gateway.usage.limits.arithmetic.record import Record


class Claim(NamedTuple):
    """A limit that a request meets, and the `digest` by which it is counted."""

    limit: RateLimit
    digest: bytes


class Exceeded(NamedTuple):
    """The limits that a request would exceed. Nothing was taken."""

    standings: list[Standing]


class Taken(NamedTuple):
    """What a request has taken, until it is settled: so much of each claim, and how these stand since.

    `usual` is the digest by which it is learned what such requests take; None: nothing is learned of this one.
    `epoch` says in which records it was counted.
    """

    claims: Sequence[Claim]
    amounts: list[int]
    standings: list[Standing]
    usual: bytes | None
    second: int
    slot: int
    epoch: int

    def parted(self, measure: Measure) -> "tuple[Taken | None, Taken | None]":
        """What was taken of limits on a measure, and the rest; None where that is nothing."""
        pairs = list(zip(self.claims, self.amounts, strict=True))
        those = self._of([pair for pair in pairs if pair[0].limit.measure is measure])
        return those and those._replace(usual=None), self._of(
            [pair for pair in pairs if pair[0].limit.measure is not measure]
        )

    def _of(self, pairs: "list[tuple[Claim, int]]") -> "Taken | None":
        claims, amounts = [claim for claim, _ in pairs], [amount for _, amount in pairs]
        return self._replace(claims=claims, amounts=amounts) if pairs else None


class LimitStore(abc.ABC):
    """Counts. Each of its functions is done whole or, where it raises OSError, not at all."""

    @abc.abstractmethod
    def take(self, claims: Sequence[Claim], usual: bytes | None) -> Taken | Exceeded:
        """Take one request, and the tokens that it is thought to take, of all the claims or of none."""

    @abc.abstractmethod
    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        """A request is over, and has taken so many tokens. None: nobody knows, so that what was reserved is used.

        One that was never sent to its model server has taken nothing.
        """

    @abc.abstractmethod
    def look(self, claims: Sequence[Claim]) -> list[Standing]:
        """How limits stand now, in their order."""

    @abc.abstractmethod
    def close(self) -> None:
        """Leave it. What has been taken and was not settled counts as used."""


class Records(Protocol):
    """The records of a store while nobody else can change them."""

    def get(self, digest: bytes, measure: Measure | None) -> Record: ...

    def put(self, record: Record) -> None: ...


class Clock:
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

    def __init__(self, zone: tzinfo, clock: Clock) -> None:
        self.epoch = next(_EPOCHS)
        self._calendar = Calendar(zone)
        self._clock = clock

    @abc.abstractmethod
    def _alone(self) -> AbstractContextManager[Records]:
        """Keep all others off the records meanwhile. Raises OSError where they cannot be had."""

    def _is_dead(self, slot: int) -> bool:
        """Whether a process that holds something is no more."""
        return False

    def take(self, claims: Sequence[Claim], usual: bytes | None) -> Taken | Exceeded:
        with self._alone() as records:
            moment = self.moment()
            found = [records.get(claim.digest, claim.limit.measure) for claim in claims]
            exceeded = list(self._exceeded(claims, found, moment))
            if exceeded:
                return Exceeded(exceeded)
            known = None if usual is None else records.get(usual, None)
            amounts = [_amount(claim.limit, known) for claim in claims]
            for record, amount in zip(found, amounts, strict=True):
                counting.take(record, moment, self.slot, amount)
                self._put(records, record, moment)
        standings = [counting.standing(one, claim.limit, moment) for one, claim in zip(found, claims, strict=True)]
        return Taken(claims, amounts, standings, usual, moment.steady // sliding_minute.SECOND, self.slot, self.epoch)

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        with self._alone() as records:
            moment = self.moment()
            is_ours = taken.epoch == self.epoch
            for claim, amount in zip(taken.claims, taken.amounts, strict=True):
                record = records.get(claim.digest, claim.limit.measure)
                counting.enter(record, moment)
                held = amount if is_ours else 0
                if claim.limit.measure is counting.REQUESTS:
                    sliding_minute.give_back(record, taken.second, 0 if was_sent else held)
                else:
                    used = 0 if not was_sent else amount if tokens is None else tokens
                    counting.settle(record, moment, taken.slot, held, used)
                self._put(records, record, moment)
            if taken.usual is not None and tokens:
                known = records.get(taken.usual, None)
                usual_tokens.learn(known, tokens)
                self._put(records, known, moment)

    def look(self, claims: Sequence[Claim]) -> list[Standing]:
        with self._alone() as records:
            moment = self.moment()
            found = [records.get(claim.digest, claim.limit.measure) for claim in claims]
            for record in found:
                counting.enter(record, moment)
            return [counting.standing(one, claim.limit, moment) for one, claim in zip(found, claims, strict=True)]

    def begin_anew(self) -> None:
        """The records are others from now on."""
        self.epoch = next(_EPOCHS)

    def moment(self) -> Moment:
        """Now."""
        wall = self._clock.wall()
        return Moment(self._clock.steady(), wall, self._calendar.day(wall), self._calendar.month(wall))

    def _exceeded(self, claims: Sequence[Claim], found: Sequence[Record], moment: Moment) -> Iterator[Standing]:
        for claim, record in zip(claims, found, strict=True):
            counting.enter(record, moment)
            if claim.limit.is_shadow or record.used + record.held < claim.limit.amount:
                continue
            self._bury_dead(record, moment)
            standing = counting.standing(record, claim.limit, moment)
            if standing.wait:
                yield standing

    def _bury_dead(self, record: Record, moment: Moment) -> None:
        for slot in record.holders():
            if slot != self.slot and self._is_dead(slot):
                counting.bury(record, moment, slot)

    @staticmethod
    def _put(records: Records, record: Record, moment: Moment) -> None:
        record.touched = moment.wall
        records.put(record)


def _amount(limit: RateLimit, usual: Record | None) -> int:
    if usual is None or not counting.is_of_tokens(limit.measure):
        return 1
    return usual_tokens.reservation(usual, limit.amount)
