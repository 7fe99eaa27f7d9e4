"""What was used in the last 60 seconds: never too little, by buckets of a second. Pure: no I/O.

A bucket is forgotten 60 seconds after the last use in it. So in no 60 seconds at all is more used than a limit says,
and nothing is remembered for 61. Moments are nanoseconds of a clock that never goes back, the same in all processes.
"""

from gateway.usage.limits.arithmetic.record import BUCKETS, Record

SECOND = 10**9
_SECONDS = 60
_MINUTE = _SECONDS * SECOND


def forget_old(record: Record, now: int) -> None:
    """Take out of `used` what is older than a minute."""
    age = now // SECOND - record.oldest
    if record.used == 0:
        record.oldest = now // SECOND
    elif not 0 <= age < _SECONDS + BUCKETS:  # or of another clock
        record.clear_buckets()
        record.oldest = now // SECOND
    elif age >= _SECONDS:
        _forget_until(record, now)


def _forget_until(record: Record, now: int) -> None:
    second = record.oldest
    while second <= now // SECOND - _SECONDS:
        count, moment = record.bucket(second)
        if count and moment + _MINUTE > now:
            break
        if count:
            record.put_bucket(second, 0, 0)
            record.used -= count
        second += 1
    record.oldest = second


def use(record: Record, now: int, amount: int) -> None:
    """Note a use. What is old has been forgotten."""
    buckets, at = record.buckets, now // SECOND % BUCKETS * 2
    buckets[at] += amount
    buckets[at + 1] = now
    record.used += amount
    record.newest = now


def give_back(record: Record, second: int, amount: int) -> None:
    """Undo a use in a second, if that is still remembered."""
    if second < record.oldest:
        return
    count, moment = record.bucket(second)
    undone = min(amount, count, record.used)
    record.put_bucket(second, count - undone, moment)
    record.used -= undone


def seconds_until_empty(record: Record, now: int) -> float:
    """Until nothing of what was used counts any more. What is old has been forgotten."""
    left = record.newest + _MINUTE - now
    return left / SECOND if record.used and left > 0 else 0.0


def seconds_until(record: Record, now: int, most: int) -> float:
    """Until at most `most` is used, if nobody uses more; 0 if that is so now. What is old has been forgotten."""
    left = record.used
    if left <= most:
        return 0.0
    for second in range(record.oldest, now // SECOND + 1):
        count, moment = record.bucket(second)
        left -= count
        if count and left <= most:
            return (moment + _MINUTE - now) / SECOND
    return float(_SECONDS)
