"""What was used in the last 60 seconds: never too little, by buckets of a second. Pure: no I/O.

A bucket is forgotten 60 seconds after the last use in it. So in no 60 seconds at all is more used than a limit says,
and nothing is remembered for 61. Moments are seconds of a clock that never goes back, the same in all processes.
"""

from gateway.usage.limits.arithmetic.record import BUCKETS, Record

SECONDS = 60


def forget_old(record: Record, now: float) -> None:
    """Take out of `used` what is older than a minute."""
    if record.used == 0:
        record.oldest = int(now)
    elif now >= record.oldest + SECONDS + BUCKETS or now < record.oldest:  # the second: of another clock
        record.clear_buckets()
        record.oldest = int(now)
    else:
        _forget_until(record, now)


def _forget_until(record: Record, now: float) -> None:
    second = record.oldest
    while second <= now - SECONDS:
        count, moment = record.bucket(second)
        if count and moment + SECONDS > now:
            break
        if count:
            record.put_bucket(second, 0, 0.0)
            record.used -= count
        second += 1
    record.oldest = second


def use(record: Record, now: float, amount: int) -> None:
    """Note a use. What is old has been forgotten."""
    second = int(now)
    count, moment = record.bucket(second)
    record.put_bucket(second, count + amount, max(now, moment))
    record.used += amount


def give_back(record: Record, second: int, amount: int) -> None:
    """Undo a use in a second, if that is still remembered."""
    if second < record.oldest:
        return
    count, moment = record.bucket(second)
    undone = min(amount, count, record.used)
    record.put_bucket(second, count - undone, moment)
    record.used -= undone


def seconds_until(record: Record, now: float, most: int) -> float | None:
    """Until at most `most` is used, if nobody uses more; None if that is so now. What is old has been forgotten."""
    left = record.used
    if left <= most:
        return None
    for second in range(record.oldest, int(now) + 1):
        count, moment = record.bucket(second)
        left -= count
        if count and left <= most:
            return moment + SECONDS - now
    return float(SECONDS)
