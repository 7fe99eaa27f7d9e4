"""What stores that keep a record of each limit have in common, wherever the records are."""

import abc
import itertools
from collections.abc import Sequence
from datetime import tzinfo

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic import counting, usual_tokens
from gateway.usage.limits.arithmetic.counting import LimitStanding, PresentMoment
from gateway.usage.limits.arithmetic.record import Record
from gateway.usage.limits.arithmetic.sliding_minute import SECOND
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, LimitStore, MachineClock, MetLimits, Taken

_numbers = itertools.count()


class RecordStore(LimitStore):
    """A store that keeps records. What this process holds is in its `slot`; each set of records has its `epoch`.

    As long as the `turn` is the same, of all stores, what was got is still current.
    """

    slot = 0

    def __init__(self, zone: tzinfo, clock: MachineClock) -> None:
        self.epoch = self.turn = next(_numbers)
        self._moment = PresentMoment(zone)
        self._steady, self._wall = clock.steady, clock.wall

    @abc.abstractmethod
    def get(self, digest: bytes, measure: Measure | None) -> Record:
        """A record, as it is or blank: always the same object. Called while the records are locked, as `put` is."""

    @abc.abstractmethod
    def put(self, record: Record) -> None:
        """Keep a record that was got in this turn, and changed."""

    @abc.abstractmethod
    def make_room(self) -> None:
        """Let go of records, if there are too many, before others are got."""

    @abc.abstractmethod
    def _lock(self) -> None:
        """Keep all others off the records. Raises OSError where they cannot be had."""

    @abc.abstractmethod
    def _unlock(self) -> None:
        """Let others have them."""

    def _is_dead(self, slot: int) -> bool:
        """Whether a process that holds something is no more."""
        return False

    def take(self, met: MetLimits) -> Taken | Exceeded:
        self._lock()
        try:
            moment, is_reached = self._now(), False
            if met.turn != self.turn:
                self._get_all(met)
            records = met.records
            for at, (_, _, counts, most, is_enforced, _) in enumerate(met.limits):
                record = records[at]
                counts.enter(record, moment)
                if is_enforced and record.used + record.held >= most:
                    is_reached = True
            if is_reached:
                exceeded = self._exceeded(met, moment)
                if exceeded:
                    return Exceeded(exceeded, moment.wall)
            return self._take(met, moment)
        finally:
            self._unlock()

    def _take(self, met: MetLimits, moment: PresentMoment) -> Taken:
        """Of limits that have room."""
        slot, usual, records = self.slot, met.usual_record, met.records
        taken = Taken(met, slot, self.epoch, moment.steady // SECOND, moment.wall)
        amounts, told = taken.amounts, taken.told
        for at, (_, _, counts, most, _, is_told) in enumerate(met.limits):
            record, amount = records[at], 1
            if usual is not None and counts.is_of_tokens:
                amount = usual_tokens.reservation(usual.learned[counts.reserves_by], most)
            counts.take(record, moment, slot, amount)
            self.put(record)
            amounts.append(amount)
            if is_told:
                left = most - record.used - record.held
                told.append((counts.is_of_tokens, most, left, counts.resets_in(record, moment)))
        return taken

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        self._lock()
        try:
            if taken.epoch != self.epoch:  # it counted as used when those records were left
                return
            moment, slot, met = self._now(), taken.slot, taken.met
            if met.turn != self.turn:
                self._get_all(met)
            for at, amount in enumerate(taken.amounts):
                counts = met.limits[at].counting
                if amount == 0 or (was_sent and not counts.is_settled):
                    continue
                record = met.records[at]
                counts.enter(record, moment)
                if was_sent:
                    counts.settle(record, moment, slot, amount, amount if tokens is None else tokens)
                else:
                    counts.give_back(record, taken.second, slot, amount)
                self.put(record)
            if met.usual_record is not None and tokens:
                usual_tokens.learn(met.usual_record, tokens)
                self.put(met.usual_record)
        finally:
            self._unlock()

    def leave(self, taken: Taken) -> None:
        self._lock()
        try:
            if taken.epoch != self.epoch:
                return
            met = taken.met
            if met.turn != self.turn:
                self._get_all(met)
            for at, limit in enumerate(met.limits):
                if limit.counting.is_under_way and taken.amounts[at]:
                    met.records[at].hold(taken.slot, -taken.amounts[at])
                    self.put(met.records[at])
                    taken.amounts[at] = 0
        finally:
            self._unlock()

    def look(self, limits: Sequence[CountedLimit]) -> list[LimitStanding]:
        self._lock()
        try:
            self.make_room()
            return [self._standing(one, self._now()) for one in limits]
        finally:
            self._unlock()

    def _get_all(self, met: MetLimits) -> None:
        self.make_room()
        met.turn = self.turn  # it may be another already when all are got: then they are got again
        met.records = [self.get(one.digest, one.counting.measure) for one in met.limits]
        met.usual_record = None if met.usual is None else self.get(met.usual, None)

    def _standing(self, counted: CountedLimit, moment: PresentMoment) -> LimitStanding:
        record = self.get(counted.digest, counted.counting.measure)
        counted.counting.enter(record, moment)
        if record.held:
            self._bury_dead(record, moment)
        return counting.standing(record, counted.limit, moment)

    def _begin_turn(self) -> None:
        """What was got may not be current any more."""
        self.turn = next(_numbers)

    def _begin_anew(self) -> None:
        """The records are others from now on."""
        self.epoch = self.turn = next(_numbers)

    def _now(self) -> PresentMoment:
        """The moment, which is another when this is called again."""
        self._moment.put(self._steady(), self._wall())
        return self._moment

    def _exceeded(self, met: MetLimits, moment: PresentMoment) -> list[LimitStanding]:
        exceeded = []
        for counted, record in zip(met.limits, met.records, strict=True):
            if record.used + record.held < counted.amount or not counted.is_enforced:
                continue
            if record.has_begun_anew:  # of a clock that was years off: else each day would begin where that has been
                self.put(record)
            self._bury_dead(record, moment)
            standing = counting.standing(record, counted.limit, moment)
            if standing.wait:
                exceeded.append(standing)
        return exceeded

    def _bury_dead(self, record: Record, moment: PresentMoment) -> None:
        for slot in record.holders():
            if slot != self.slot and self._is_dead(slot):
                counting.of(record.measure).bury(record, moment, slot)
