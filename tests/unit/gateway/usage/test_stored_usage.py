"""What is added up of stored rows, whatever numbers a database makes of sums."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.config.price_settings import Prices
from gateway.core.usage_sums import SUMS
from gateway.registry.database.engine import database_url, engine_for
from gateway.registry.database.migrate import prepare
from gateway.registry.database.usage_tables import usage_hours
from gateway.usage.ledger.sqlite_writer import SqliteWriter
from gateway.usage.ledger.sums import AccountingPeriod, Batch, PeriodSums, Who
from gateway.usage.stored_usage import Grouping, SummedUsage, add_up


def test_a_database_that_sums_up_to_decimals_makes_no_difference() -> None:
    stored: Any = {name: 1.5 if name.endswith("seconds") else Decimal(3) for name in SUMS} | {"ending": "finished"}
    added = SummedUsage()
    for _ in range(2):
        added.add(stored, 0.5)
    assert {name: type(value) for name, value in added.sums.items()} == {
        name: float if name.endswith("seconds") else int for name in SUMS
    }
    assert added.sums["first_byte_seconds"] / added.sums["answered"] == 0.5
    assert (added.endings["finished"], added.cost) == (6, 1.0)


async def test_no_more_hours_are_told_apart_than_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    await prepare(database_url(file), create=True)
    periods = {}
    for hour in range(10):
        at = AccountingPeriod(datetime(2026, 11, 28, hour, tzinfo=UTC), "2026-11-28")
        periods[at] = PeriodSums()
        for key in range(4):
            periods[at].row(Who("acme", f"key_{key}", "chat", "/v1/messages", "finished")).requests = 2
    await SqliteWriter(file).write(Batch(periods))
    engine = engine_for(database_url(file), writing=False)
    async with engine.connect() as connection:
        wanted = Grouping("hour", "key", ("key",))
        added, total = await add_up(connection, usage_hours, (), Prices(), wanted, most=10)
        every, same = await add_up(connection, usage_hours, (), Prices(), wanted, most=40)
    await engine.dispose()
    assert sorted({apart.time.hour for apart in added if isinstance(apart.time, datetime)}) == [0, 1, 2]
    assert (len(added), len(every)) == (12, 40)
    assert [one.sums["requests"] for one in (total, same)] == [80, 80]
