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
_BOTH = Struct("=16sQQQQQQ")
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
    A bucket is two numbers of `buckets`: what was used, and when the last of it was. `learned` is how many tokens
    requests take, by what is forgotten soon and by what is forgotten late; 0 if nothing was learned.
    """

    __slots__ = (
        *("_slots", "buckets", "data", "digest", "held", "learned", "measure", "newest", "oldest", "period", "place"),
        *("turn", "used"),
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
        self.learned = view[_LEARNED_AT:_BUCKETS_AT].cast("d")
        self.buckets = view[_BUCKETS_AT:_SLOTS_AT].cast("Q")
        self._slots = view[_SLOTS_AT:_END].cast("Q")
        self.place = self.turn = -1  # of a store: where it keeps this, and since when it is current
        self.unpack()

    @classmethod
    def blank(cls, digest: bytes, measure: Measure | None) -> "Record":
        """Of a limit of which nothing has been used."""
        return cls(bytearray(_HEAD.pack(digest, _MEASURES.index(measure)).ljust(RECORD_BYTES, b"\0")))

    def unpack(self) -> None:
        """Take the numbers from `data`, which has changed."""
        self.digest, number, self.period, self.used, self.held, self.oldest, self.newest = _BOTH.unpack_from(self.data)
        self.measure = _MEASURES[number] if number < len(_MEASURES) else None

    def packed(self) -> bytearray:
        """All of it as bytes."""
        _NUMBERS.pack_into(self.data, _NUMBERS_AT, self.period, self.used, self.held, self.oldest, self.newest)
        return self.data

    @property
    def has_begun_anew(self) -> bool:
        """Whether a period has begun of which the bytes do not say so yet."""
        period: int = _NUMBERS.unpack_from(self.data, _NUMBERS_AT)[0]
        return period != self.period

    def bucket(self, second: int) -> tuple[int, int]:
        """What was used in a second, and when the last of it was."""
        at = second % BUCKETS * 2
        return self.buckets[at], self.buckets[at + 1]

    def put_bucket(self, second: int, count: int, moment: int) -> None:
        """The same, put."""
        at = second % BUCKETS * 2
        self.buckets[at] = count
        self.buckets[at + 1] = moment

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


def slot_at(slot: int) -> int:
    """Where in the bytes of a record it stands what a process holds."""
    return _SLOTS_AT + 8 * slot
