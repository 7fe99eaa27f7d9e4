"""Usage as the gateway writes it, put into an SQLite database by hand."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Float, create_engine
from sqlalchemy.dialects.sqlite import insert

from gateway.registry.database.usage_tables import usage_days, usage_hours, usage_latency

_SUMS = tuple(
    column.name for column in usage_hours.c if not column.primary_key and isinstance(column.type, BigInteger | Float)
)


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
    hour = when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    engine = create_engine(f"sqlite:///{place}")
    with engine.begin() as connection:
        day = when.astimezone(ZoneInfo(zone)).date().isoformat()
        for table, time in ((usage_hours, {"hour": hour}), (usage_days, {"day": day})):
            new = insert(table)
            added = {c.name: c + new.excluded[c.name] for c in table.c if c.name in row and c.name in _SUMS}
            connection.execute(new.on_conflict_do_update(set_=added), {**row, **time})
    engine.dispose()


def took(place: Path, when: datetime, measure: str, buckets: dict[int, int], *, deployment: str = "demo") -> None:
    """Note how long something took in an hour: how many in which bucket."""
    hour = when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    engine = create_engine(f"sqlite:///{place}")
    row = {"hour": hour, "account": "acme", "deployment": deployment, "measure": measure}
    with engine.begin() as connection:
        many = [{**row, "bucket": bucket, "number": number} for bucket, number in buckets.items()]
        connection.execute(usage_latency.insert(), many)
    engine.dispose()
