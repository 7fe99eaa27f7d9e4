"""Writes batches of usage to a database server, through SQLAlchemy, in words that every server understands."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.usage_sums import SUMS
from gateway.registry.database.engine import database_url, engine_for, in_sentences, name_of
from gateway.registry.database.team_tables import key_uses
from gateway.registry.database.usage_tables import usage_batches, usage_days, usage_hours, usage_latency
from gateway.usage.ledger.sums import Batch, SumsRow

Rows = Iterable[dict[str, Any]]
_NOT_OF_KEY = {"person", *SUMS}


class ServerWriter:
    """Over a connection for each batch."""

    def __init__(self, place: str) -> None:
        url = database_url(place)
        self._name = name_of(url)
        self._engine = engine_for(url, writing=True)

    async def write(self, batch: Batch) -> None:
        """Add the batch to what is there, unless it is there already. Raises SourceError."""
        with in_sentences(self._name):
            try:
                await self._write(batch)
            except IntegrityError:  # another writer has just inserted one of these rows
                await self._write(batch)

    async def _write(self, batch: Batch) -> None:
        async with self._engine.begin() as connection:
            known = await connection.execute(select(usage_batches.c.id).where(usage_batches.c.id == batch.id))
            if known.first() is None:
                await _write(connection, batch)

    async def forget(self, before: datetime, batches_before: datetime) -> bool:
        """Remove the oldest hour, if it is before a moment, and the ids of old batches. True if there may be more.

        Raises SourceError.
        """
        removed = 0
        with in_sentences(self._name):
            async with self._engine.begin() as connection:
                await connection.execute(delete(usage_batches).where(usage_batches.c.written_at < batches_before))
                for table in (usage_hours, usage_latency):
                    oldest = (await connection.execute(select(func.min(table.c.hour)))).scalar()
                    if oldest is not None and oldest < before:
                        removed += (await connection.execute(delete(table).where(table.c.hour == oldest))).rowcount
        return removed > 0

    async def close(self) -> None:
        """Leave the database."""
        await self._engine.dispose()


async def _write(connection: AsyncConnection, batch: Batch) -> None:
    await connection.execute(insert(usage_batches), {"id": batch.id, "written_at": datetime.now(UTC)})
    usage = sorted(batch.usage())  # two writers take rows in one order, or each could hold what the other waits for
    await _add(connection, usage_hours, _summed({"hour": row.period.hour, **_fields(row)} for row in usage))
    await _add(connection, usage_days, _summed({"day": row.period.day, **_fields(row)} for row in usage))
    await _add(connection, usage_latency, [row._asdict() for row in sorted(batch.latency())])
    await _note_key_uses(connection, batch.key_uses())


def _fields(row: SumsRow) -> dict[str, Any]:
    return {**row.who._asdict(), "person": row.person, **dict(zip(SUMS, row.values, strict=True))}


def _summed(rows: Rows) -> list[dict[str, Any]]:
    """Several of one hour, or of one day, as one row."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        known = sums.setdefault(tuple(value for name, value in row.items() if name not in _NOT_OF_KEY), row)
        if known is not row:
            known |= {name: known[name] + row[name] for name in SUMS}
    return list(sums.values())


async def _add(connection: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add to the rows that are there, and insert the others. Rows are named by the table's primary key."""
    names = [column.name for column in table.primary_key]
    there = select(*table.primary_key).where(table.c[names[0]].in_({row[names[0]] for row in rows}))
    known = {tuple(found) for found in await connection.execute(there)}
    old = [row for row in rows if tuple(row[name] for name in names) in known]
    new = [row for row in rows if tuple(row[name] for name in names) not in known]
    if old:
        same = and_(*(table.c[name] == bindparam(f"of_{name}") for name in names))
        changed = {column.name: _more(column) for column in table.columns if not column.primary_key}
        values = [{f"of_{name}": value for name, value in row.items()} for row in old]
        await connection.execute(update(table).where(same).values(changed), values)
    if new:
        await connection.execute(insert(table), new)


def _more(column: Column[Any]) -> ColumnElement[Any]:
    given = bindparam(f"of_{column.name}", type_=column.type)
    return given if column.name == "person" else column + given


async def _note_key_uses(connection: AsyncConnection, used: dict[str, datetime]) -> None:
    there = select(key_uses).where(key_uses.c.key.in_(list(used)))
    known = {found.key: found.last_used_at for found in await connection.execute(there)}
    for key, minute in sorted(used.items()):
        if key not in known:
            await connection.execute(insert(key_uses), {"key": key, "last_used_at": minute})
        elif known[key] < minute:
            await connection.execute(update(key_uses).where(key_uses.c.key == key).values(last_used_at=minute))
