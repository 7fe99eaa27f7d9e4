"""What is kept of one limit, as bytes: the same in memory as in the file that processes share. Pure: no I/O.

What a measure makes of it is in `sliding_minute.py`, `calendar_periods.py` and `usual_tokens.py`.
"""

from struct import Struct

from gateway.core.rate_limits import Measure

RECORD_BYTES = 2048
DIGEST_BYTES = 16
SLOTS = 120  # processes that may count in one file at a time
BUCKETS = 61  # seconds of which something may lie within the last 60 seconds

_HEAD = Struct("<16sQQQQQQ")
_LEARNED = Struct("<d8x")
_BUCKET = Struct("<QQ")
_SLOT = Struct("<Q")
_LEARNED_AT = _HEAD.size
_BUCKETS_AT = _LEARNED_AT + _LEARNED.size
_SLOTS_AT = _BUCKETS_AT + _BUCKET.size * BUCKETS
_MEASURES = (None, *Measure)  # by the number that is written; None: what requests take
_NUMBERS = {measure: number for number, measure in enumerate(_MEASURES)}


class Record:
    """The numbers of the limit with this `digest`, on a `measure`; None: what requests take.

    `used` was used in the day or month with the number `period`, or in the buckets, of which `oldest` is the second of
    the first that may hold something, and `newest` the moment of the last use. `held` is what all processes hold.
    """

    __slots__ = ("_data", "digest", "held", "measure", "newest", "oldest", "period", "used")

    digest: bytes
    period: int
    used: int
    held: int
    oldest: int
    newest: int

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self.digest, number, self.period, self.used, self.held, self.oldest, self.newest = _HEAD.unpack_from(data)
        self.measure: Measure | None = _MEASURES[number] if number < len(_MEASURES) else None

    @classmethod
    def blank(cls, digest: bytes, measure: Measure | None) -> "Record":
        """Of a limit of which nothing has been used."""
        record = cls(bytearray(digest.ljust(RECORD_BYTES, b"\0")))
        record.measure = measure
        return record

    def packed(self) -> bytearray:
        """All of it as bytes."""
        numbers = self.period, self.used, self.held, self.oldest, self.newest
        _HEAD.pack_into(self._data, 0, self.digest, _NUMBERS[self.measure], *numbers)
        return self._data

    def learned(self) -> float:
        """How many tokens requests take; 0 if nothing was learned."""
        tokens: float = _LEARNED.unpack_from(self._data, _LEARNED_AT)[0]
        return tokens

    def put_learned(self, tokens: float) -> None:
        """The same, put."""
        _LEARNED.pack_into(self._data, _LEARNED_AT, tokens)

    def bucket(self, second: int) -> tuple[int, int]:
        """What was used in a second, and when the last of it was."""
        count, moment = _BUCKET.unpack_from(self._data, _BUCKETS_AT + _BUCKET.size * (second % BUCKETS))
        return count, moment

    def put_bucket(self, second: int, count: int, moment: int) -> None:
        """The same, put."""
        _BUCKET.pack_into(self._data, _BUCKETS_AT + _BUCKET.size * (second % BUCKETS), count, moment)

    def clear_buckets(self) -> None:
        """Nothing was used in the last minute."""
        self._data[_BUCKETS_AT:_SLOTS_AT] = bytes(_SLOTS_AT - _BUCKETS_AT)
        self.used = self.newest = 0

    def held_by(self, slot: int) -> int:
        """What one process holds."""
        held: int = _SLOT.unpack_from(self._data, _SLOTS_AT + _SLOT.size * slot)[0]
        return held

    def hold(self, slot: int, change: int) -> None:
        """Change what a process holds, which never falls below nothing."""
        before = self.held_by(slot)
        after = max(before + change, 0)
        _SLOT.pack_into(self._data, _SLOTS_AT + _SLOT.size * slot, after)
        self.held = max(self.held + after - before, 0)

    def holders(self) -> list[int]:
        """The processes that hold something."""
        return [slot for slot in range(SLOTS) if self.held_by(slot)]
