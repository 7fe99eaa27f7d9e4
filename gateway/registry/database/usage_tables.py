"""The tables of usage: what was used in each hour and on each day, by whom, of what. No request reads them.

A batch is written to all of them in one transaction, and its id is kept: a batch that is written again changes nothing.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table

from gateway.core.usage_sums import NUMBERS, SECONDS
from gateway.registry.database.tables import Moment, metadata


def _usage(name: str, period: "Column[datetime] | Column[str]") -> Table:
    return Table(
        name,
        metadata,
        period,
        Column("account", String(64), primary_key=True),
        Column("key", String(64), primary_key=True),  # empty where hours were merged because the database was away
        Column("deployment", String(64), primary_key=True),
        Column("endpoint", String(64), primary_key=True),
        Column("ending", String(16), primary_key=True),
        Column("person", String(64), nullable=False),  # empty where the key is nobody's
        *(Column(column, BigInteger, nullable=False) for column in NUMBERS),
        *(Column(column, Float, nullable=False) for column in SECONDS),
    )


usage_hours = _usage("usage_hours", Column("hour", Moment, primary_key=True))
# A day is like 2026-11-28, in the zone of `server.time_zone`.
usage_days = _usage("usage_days", Column("day", String(10), primary_key=True))

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
