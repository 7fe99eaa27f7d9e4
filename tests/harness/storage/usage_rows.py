"""Usage as the gateway writes it, put into an SQLite database by hand."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Table

from gateway.registry.database.usage_tables import usage_days, usage_hours, usage_latency
from tests.harness.patience import PATIENCE


def used(
    place: Path,
    when: datetime,
    *,
    key: str = "key_a",
    person: str = "",
    account: str = "acme",
    deployment: str = "demo",
    endpoint: str = "POST /v1/chat/completions",
    ending: str = "finished",
    requests: int = 1,
    tokens: tuple[int, int, int] = (10, 4, 5),
    seconds: tuple[float, float, float, float] = (0.0, 2.0, 0.5, 2.0),
    counted: int = 0,
    zone: str = "UTC",
) -> None:
    """Note use in an hour, and on its day. `tokens` in, cached, out; `seconds` in line, of slot, to first byte, all."""
    row = {
        "account": account,
        "key": key,
        "person": person,
        "deployment": deployment,
        "endpoint": endpoint,
        "ending": ending,
        "requests": requests,
        "answered": requests,
        "tokens_counted": counted,
        **dict(zip(("tokens_in", "tokens_cached", "tokens_out"), tokens, strict=True)),
        **dict(zip(("queue_seconds", "slot_seconds", "first_byte_seconds", "duration_seconds"), seconds, strict=True)),
    }
    day = when.astimezone(ZoneInfo(zone)).date().isoformat()
    _write(place, (usage_hours, {**row, "hour": _hour(when)}), (usage_days, {**row, "day": day}))


def took(place: Path, when: datetime, measure: str, buckets: dict[int, int], *, deployment: str = "demo") -> None:
    """Note how long something took in an hour: how many in which bucket."""
    row = {"hour": _hour(when), "account": "acme", "deployment": deployment, "measure": measure}
    _write(place, *((usage_latency, {**row, "bucket": bucket, "number": number}) for bucket, number in buckets.items()))


def _hour(when: datetime) -> str:
    """As SQLAlchemy stores it in SQLite."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H}:00:00.000000"


def _write(place: Path, *rows: tuple[Table, Mapping[str, object]]) -> None:
    """Add rows to those that are there."""
    with closing(sqlite3.connect(place, timeout=PATIENCE)) as database, database:
        for table, row in rows:
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            sums = [name for name in row if not table.c[name].primary_key and name != "person"]
            added = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
            database.execute(
                f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT DO UPDATE SET {added}",
                row,
            )
