"""What is kept of one limit, as bytes: the same in memory as in the file that processes share. Pure: no I/O.

What a measure makes of it is in `sliding_minute.py`, `calendar_periods.py` and `usual_tokens.py`.
"""

from struct import Struct

from gateway.core.rate_limits import Measure

RECORD_BYTES = 2048
DIGEST_BYTES = 16
SLOTS = 120  # processes that may count in one file at a time
BUCKETS = 61  # seconds of which something may lie within the last 60 seconds

_WHOLE = Struct("<Q")
_REAL = Struct("<d")
_MEASURE, _PERIOD, _USED, _HELD, _OLDEST, _TOUCHED, _MEAN, _DEVIATION, _COUNTS = range(DIGEST_BYTES, 88, 8)
_MOMENTS = _COUNTS + 8 * BUCKETS
_SLOTS = _MOMENTS + 8 * BUCKETS
_MEASURES = (None, *Measure)  # by the number that is written; None: what requests usually take


class Record:
    """Numbers at their places in `data`, which are those of the limit with this `digest`."""

    __slots__ = ("data",)

    def __init__(self, data: bytearray) -> None:
        self.data = data

    @classmethod
    def blank(cls, digest: bytes, measure: Measure | None) -> "Record":
        """Of a limit of which nothing has been used; None: of what requests usually take."""
        record = cls(bytearray(digest.ljust(RECORD_BYTES, b"\0")))
        record._put(_MEASURE, _MEASURES.index(measure))
        return record

    @property
    def digest(self) -> bytes:
        """Whose it is."""
        return bytes(self.data[:DIGEST_BYTES])

    @property
    def measure(self) -> Measure | None:
        """What it counts; None: nothing, but what requests usually take."""
        number = self._whole(_MEASURE)
        return _MEASURES[number] if number < len(_MEASURES) else None

    @property
    def period(self) -> int:
        """The day or month in which `used` was used."""
        return self._whole(_PERIOD)

    @period.setter
    def period(self, value: int) -> None:
        self._put(_PERIOD, value)

    @property
    def used(self) -> int:
        """What has been used, in the period or in the buckets."""
        return self._whole(_USED)

    @used.setter
    def used(self, value: int) -> None:
        self._put(_USED, value)

    @property
    def held(self) -> int:
        """What is held by all processes together."""
        return self._whole(_HELD)

    @property
    def oldest(self) -> int:
        """The second of the oldest bucket that may have something in it."""
        return self._whole(_OLDEST)

    @oldest.setter
    def oldest(self, value: int) -> None:
        self._put(_OLDEST, value)

    @property
    def touched(self) -> float:
        """When it was last changed (Unix time)."""
        return self._real(_TOUCHED)

    @touched.setter
    def touched(self, value: float) -> None:
        _REAL.pack_into(self.data, _TOUCHED, value)

    @property
    def usual(self) -> tuple[float, float]:
        """Mean and deviation of what was learned; (0, 0) if nothing was."""
        return self._real(_MEAN), self._real(_DEVIATION)

    @usual.setter
    def usual(self, value: tuple[float, float]) -> None:
        mean, deviation = value
        _REAL.pack_into(self.data, _MEAN, mean)
        _REAL.pack_into(self.data, _DEVIATION, deviation)

    def bucket(self, second: int) -> tuple[int, int]:
        """What was used in a second, and when the last of it was."""
        at = 8 * (second % BUCKETS)
        return self._whole(_COUNTS + at), self._whole(_MOMENTS + at)

    def put_bucket(self, second: int, count: int, moment: int) -> None:
        """The same, put."""
        at = 8 * (second % BUCKETS)
        self._put(_COUNTS + at, count)
        self._put(_MOMENTS + at, moment)

    def clear_buckets(self) -> None:
        """Nothing was used in the last minute."""
        if any(self.data[_COUNTS:_SLOTS]):
            self.data[_COUNTS:_SLOTS] = bytes(_SLOTS - _COUNTS)
            self.used = 0

    def held_by(self, slot: int) -> int:
        """What one process holds."""
        return self._whole(_SLOTS + 8 * slot)

    def hold(self, slot: int, change: int) -> int:
        """Change what a process holds, which never falls below nothing. Returns by how much it was changed."""
        before = self.held_by(slot)
        after = max(before + change, 0)
        self._put(_SLOTS + 8 * slot, after)
        self._put(_HELD, max(self.held + after - before, 0))
        return after - before

    def holders(self) -> list[int]:
        """The processes that hold something."""
        return [slot for slot in range(SLOTS) if self.held_by(slot)]

    def _whole(self, at: int) -> int:
        value: int = _WHOLE.unpack_from(self.data, at)[0]
        return value

    def _real(self, at: int) -> float:
        value: float = _REAL.unpack_from(self.data, at)[0]
        return value

    def _put(self, at: int, value: int) -> None:
        _WHOLE.pack_into(self.data, at, value)
