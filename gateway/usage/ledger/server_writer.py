"""Writes batches of usage to a database server, through SQLAlchemy, in words that every server understands."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import compress
from operator import not_
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.usage_sums import SUMS
from gateway.registry.database.engine import database_url, engine_for, in_sentences, name_of
from gateway.registry.database.team_tables import key_uses
from gateway.registry.database.usage_tables import usage_batches, usage_days, usage_hours, usage_latency
from gateway.usage.ledger.sums import Batch, SumsRow

Row = dict[str, Any]
Rows = list[Row]
_AT_ONCE = 200  # rows: between two such portions the event loop serves requests
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
    for table, rows in await asyncio.to_thread(_rows_of, batch):
        await _add(connection, table, rows)
    await _note_key_uses(connection, batch.key_uses())


def _rows_of(batch: Batch) -> list[tuple[Table, Rows]]:
    usage = sorted(batch.usage())  # two writers take rows in one order, or each could hold what the other waits for
    return [
        (usage_hours, _summed({"hour": row.period.hour, **_fields(row)} for row in usage)),
        (usage_days, _summed({"day": row.period.day, **_fields(row)} for row in usage)),
        (usage_latency, [row._asdict() for row in sorted(batch.latency())]),
    ]


def _fields(row: SumsRow) -> Row:
    return {**row.who._asdict(), "person": row.person, **dict(zip(SUMS, row.values, strict=True))}


def _summed(rows: Iterable[Row]) -> Rows:
    """Several of one hour, or of one day, as one row."""
    sums: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        known = sums.setdefault(tuple(value for name, value in row.items() if name not in _NOT_OF_KEY), row)
        if known is not row:
            known |= {name: known[name] + row[name] for name in SUMS}
    return list(sums.values())


async def _add(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Add to the rows that are there, and insert the others. Rows are named by the table's primary key."""
    key = list(table.primary_key.columns)
    same = and_(*(column == bindparam(f"of_{column.name}") for column in key))
    changed = {column.name: _more(column) for column in table.columns if not column.primary_key}
    for portion in _portions(rows):
        old, new = await _parted(connection, key, portion)
        if old:
            values = [{f"of_{name}": value for name, value in row.items()} for row in old]
            await connection.execute(update(table).where(same).values(changed), values)
        if new:
            await connection.execute(insert(table), new)


def _more(column: Column[Any]) -> ColumnElement[Any]:
    given = bindparam(f"of_{column.name}", type_=column.type)
    return given if column.name == "person" else column + given


async def _note_key_uses(connection: AsyncConnection, used: dict[str, datetime]) -> None:
    key, known = key_uses.c.key, key_uses.c.last_used_at
    last = bindparam("last", type_=known.type)
    # Batches may come late. What lies in the future, a clock has said that was ahead: any other time is better.
    is_better = or_(known < last, known > datetime.now(UTC))
    later = update(key_uses).where(key == bindparam("of_key"), is_better)
    for portion in _portions([{"key": key, "last_used_at": minute} for key, minute in sorted(used.items())]):
        old, new = await _parted(connection, [key], portion)
        if old:
            values = [{"of_key": row["key"], "last": row["last_used_at"]} for row in old]
            await connection.execute(later.values(last_used_at=last), values)
        if new:
            await connection.execute(insert(key_uses), new)


async def _parted(connection: AsyncConnection, key: Sequence[Column[Any]], rows: Rows) -> tuple[Rows, Rows]:
    """Those that the table of this key has, and the others. It is asked for what is like them, not for a whole day."""
    alike = [column.in_({row[column.name] for row in rows}) for column in key]
    known = {tuple(found) for found in await connection.execute(select(*key).where(*alike))}
    are_there = [tuple(row[column.name] for column in key) in known for row in rows]
    return list(compress(rows, are_there)), list(compress(rows, map(not_, are_there)))


def _portions(rows: Rows) -> Iterator[Rows]:
    return (rows[at : at + _AT_ONCE] for at in range(0, len(rows), _AT_ONCE))
