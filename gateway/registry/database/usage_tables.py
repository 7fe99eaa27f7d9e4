"""The tables of usage: what was used in each hour and on each day, by whom, of what. No request reads them.

A batch is written to all of them in one transaction, and its id is kept: a batch that is written again changes nothing.
"""

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table

from gateway.registry.database.tables import Moment, metadata


def _sums() -> "list[Column[int] | Column[float]]":
    """What is added up. Seconds: `queue` in line, `slot` with a place, `first_byte` (of `answered`), `duration`."""
    names = ("requests", "answered", "tokens_in", "tokens_cached", "tokens_out", "tokens_counted")
    whole = [Column(name, BigInteger, nullable=False) for name in names]
    seconds = ("queue_seconds", "slot_seconds", "first_byte_seconds", "duration_seconds")
    return [*whole, *(Column(name, Float, nullable=False) for name in seconds)]


usage_hours = Table(
    "usage_hours",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),  # empty where hours were merged because the database was away
    Column("deployment", String(64), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("ending", String(16), primary_key=True),
    Column("person", String(64), nullable=False),  # empty where the key is nobody's
    *_sums(),
)

usage_days = Table(
    "usage_days",
    metadata,
    Column("day", String(10), primary_key=True),  # like 2026-11-28, in the zone of `server.time_zone`
    Column("account", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("deployment", String(64), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("ending", String(16), primary_key=True),
    Column("person", String(64), nullable=False),
    *_sums(),
)

usage_latency = Table(
    "usage_latency",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("deployment", String(64), primary_key=True),
    Column("measure", String(16), primary_key=True),  # queue, first_byte, duration
    Column("bucket", Integer, primary_key=True),  # of `gateway/telemetry/metrics.py`: BOUNDS, and one above
    Column("number", BigInteger, nullable=False),
)

usage_batches = Table(
    "usage_batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("written_at", Moment, nullable=False, index=True),
)

USAGE_TABLES = (usage_hours, usage_days, usage_latency, usage_batches)
