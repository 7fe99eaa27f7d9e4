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
from gateway.usage.limits.store.limit_store import CountedLimit, Exceeded, LimitStore, MachineClock, Taken

_EPOCHS = itertools.count()


class RecordStore(LimitStore):
    """A store that keeps records. What this process holds is in its `slot`; each set of records has its `epoch`."""

    slot = 0

    def __init__(self, zone: tzinfo, clock: MachineClock) -> None:
        self.epoch = next(_EPOCHS)
        self._moment = PresentMoment(zone)
        self._steady, self._wall = clock.steady, clock.wall

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
            moment, found, is_reached = self.now(), [], False
            for _, digest, counts, most, is_enforced, _ in claims:
                record = self.get(digest, counts.measure)
                counts.enter(record, moment)
                if is_enforced and record.used + record.held >= most:
                    is_reached = True
                found.append(record)
            if is_reached:
                exceeded = self._exceeded(claims, found, moment)
                if exceeded:
                    return Exceeded(exceeded, moment.wall)
            return self._take(claims, found, usual, moment)
        finally:
            self._unlock()

    def _take(
        self, claims: Sequence[CountedLimit], found: list[Record], usual: bytes | None, moment: PresentMoment
    ) -> Taken:
        """Of limits that have room."""
        slot, known = self.slot, None if usual is None else self.get(usual, None)
        taken = Taken(claims, usual, slot, self.epoch)
        taken.second, taken.wall = moment.steady // SECOND, moment.wall
        amounts, told = taken.amounts, taken.told
        for at, (limit, _, counts, most, _, is_told) in enumerate(claims):
            record = found[at]
            amount = 1
            if known is not None and counts.is_of_tokens:
                amount = usual_tokens.reservation(known.learned(counts.reserves_by), most)
            counts.take(record, moment, slot, amount)
            self.put(record)
            amounts.append(amount)
            if is_told:
                told.append((limit, most - record.used - record.held, counts.resets_in(record, moment)))
        return taken

    def settle(self, taken: Taken, tokens: int | None, *, was_sent: bool) -> None:
        self._lock()
        try:
            if taken.epoch != self.epoch:  # it counted as used when those records were left
                return
            moment, slot = self.now(), taken.slot
            for at, amount in enumerate(taken.amounts):
                _, digest, counts, _, _, _ = taken.claims[at]
                if amount == 0 or (was_sent and not counts.is_settled):
                    continue
                record = self.get(digest, counts.measure)
                counts.enter(record, moment)
                if was_sent:
                    counts.settle(record, moment, slot, amount, amount if tokens is None else tokens)
                else:
                    counts.give_back(record, taken.second, slot, amount)
                self.put(record)
            if taken.usual is not None and tokens:
                known = self.get(taken.usual, None)
                usual_tokens.learn(known, tokens)
                self.put(known)
        finally:
            self._unlock()

    def leave(self, taken: Taken) -> None:
        self._lock()
        try:
            if taken.epoch != self.epoch:
                return
            for at, (_, digest, counts, *_) in enumerate(taken.claims):
                if counts.is_under_way and taken.amounts[at]:
                    record = self.get(digest, counts.measure)
                    record.hold(taken.slot, -taken.amounts[at])
                    self.put(record)
                    taken.amounts[at] = 0
        finally:
            self._unlock()

    def look(self, claims: Sequence[CountedLimit]) -> list[LimitStanding]:
        self._lock()
        try:
            moment = self.now()
            standings = []
            for claim in claims:
                record = self.get(claim.digest, claim.limit.measure)
                claim.counting.enter(record, moment)
                if record.held:
                    self._bury_dead(record, moment)
                standings.append(counting.standing(record, claim.limit, moment))
            return standings
        finally:
            self._unlock()

    def begin_anew(self) -> None:
        """The records are others from now on."""
        self.epoch = next(_EPOCHS)

    def now(self) -> PresentMoment:
        """The moment, which is another when this is called again."""
        self._moment.put(self._steady(), self._wall())
        return self._moment

    def _exceeded(
        self, claims: Sequence[CountedLimit], found: Sequence[Record], moment: PresentMoment
    ) -> list[LimitStanding]:
        exceeded = []
        for claim, record in zip(claims, found, strict=True):
            if record.used + record.held < claim.amount or not claim.is_enforced:
                continue
            self._bury_dead(record, moment)
            standing = counting.standing(record, claim.limit, moment)
            if standing.wait:
                exceeded.append(standing)
        return exceeded

    def _bury_dead(self, record: Record, moment: PresentMoment) -> None:
        for slot in record.holders():
            if slot != self.slot and self._is_dead(slot):
                counting.of(record.measure).bury(record, moment, slot)
