"""What is kept of one limit, as bytes: the same in memory as in the file that processes share. Pure: no I/O.

What a measure makes of it is in `sliding_minute.py`, `calendar_periods.py` and `usual_tokens.py`.
"""

from struct import Struct

from gateway.core.rate_limits import Measure

RECORD_BYTES = 2048
DIGEST_BYTES = 16
SLOTS = 120  # processes that may count in one file at a time
BUCKETS = 61  # seconds of which something may lie within the last 60 seconds

_HEAD = Struct("=16sQ")  # of which limit
_NUMBERS = Struct("=QQQQQ")
_NUMBERS_AT = _HEAD.size
_LEARNED_AT = _NUMBERS_AT + _NUMBERS.size
_LEARNED_BYTES = 2 * 8
_BUCKETS_AT = _LEARNED_AT + _LEARNED_BYTES
_SLOTS_AT = _BUCKETS_AT + 16 * BUCKETS
_END = _SLOTS_AT + 8 * SLOTS
_MEASURES = (None, *Measure)  # by the number that is written; None: what requests take


class Record:
    """The numbers of the limit with this `digest`, on a `measure`; None: what requests take.

    `used` was used in the day or month with the number `period`, or in the buckets, of which `oldest` is the second of
    the first that may hold something, and `newest` the moment of the last use. `held` is what all processes hold.
    """

    __slots__ = (
        *("_buckets", "_learned", "_slots", "data", "digest", "held", "measure", "newest", "oldest", "period"),
        *("place", "turn", "used"),
    )

    digest: bytes
    measure: Measure | None
    period: int
    used: int
    held: int
    oldest: int
    newest: int

    def __init__(self, data: bytearray) -> None:
        self.data = data
        view = memoryview(data)
        self._learned = view[_LEARNED_AT:_BUCKETS_AT].cast("d")
        self._buckets = view[_BUCKETS_AT:_SLOTS_AT].cast("Q")  # two numbers each
        self._slots = view[_SLOTS_AT:_END].cast("Q")
        self.place = self.turn = -1  # of a store: where it keeps this, and since when it is current
        self.unpack()

    @classmethod
    def blank(cls, digest: bytes, measure: Measure | None) -> "Record":
        """Of a limit of which nothing has been used."""
        return cls(bytearray(_HEAD.pack(digest, _MEASURES.index(measure)).ljust(RECORD_BYTES, b"\0")))

    def unpack(self) -> None:
        """Take the numbers from `data`, which has changed."""
        self.digest, number = _HEAD.unpack_from(self.data)
        self.measure = _MEASURES[number] if number < len(_MEASURES) else None
        numbers = _NUMBERS.unpack_from(self.data, _NUMBERS_AT)
        self.period, self.used, self.held, self.oldest, self.newest = numbers

    def packed(self) -> bytearray:
        """All of it as bytes."""
        _NUMBERS.pack_into(self.data, _NUMBERS_AT, self.period, self.used, self.held, self.oldest, self.newest)
        return self.data

    def learned(self, part: int) -> float:
        """How many tokens requests take; 0 if nothing was learned. `part` 0 or 1: forgotten soon, or late."""
        return self._learned[part]

    def put_learned(self, part: int, tokens: float) -> None:
        """The same, put."""
        self._learned[part] = tokens

    def bucket(self, second: int) -> tuple[int, int]:
        """What was used in a second, and when the last of it was."""
        at = second % BUCKETS * 2
        return self._buckets[at], self._buckets[at + 1]

    def put_bucket(self, second: int, count: int, moment: int) -> None:
        """The same, put."""
        at = second % BUCKETS * 2
        self._buckets[at] = count
        self._buckets[at + 1] = moment

    def add_to_bucket(self, second: int, count: int, moment: int) -> None:
        """Note a use, the last one in its bucket."""
        buckets, at = self._buckets, second % BUCKETS * 2
        buckets[at] += count
        buckets[at + 1] = moment

    def clear_buckets(self) -> None:
        """Nothing was used in the last minute."""
        self.data[_BUCKETS_AT:_SLOTS_AT] = bytes(_SLOTS_AT - _BUCKETS_AT)
        self.used = self.newest = 0

    def held_by(self, slot: int) -> int:
        """What one process holds."""
        return self._slots[slot]

    def hold(self, slot: int, change: int) -> None:
        """Change what a process holds, which never falls below nothing."""
        before, held = self._slots[slot], self.held
        if before + change < 0 or held + change < 0:
            change = -min(before, held)
        self._slots[slot] = before + change
        self.held = held + change

    def holders(self) -> list[int]:
        """The processes that hold something."""
        return [slot for slot, held in enumerate(self._slots) if held]
