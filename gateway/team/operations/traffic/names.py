"""What people call keys and each other, by id."""

from collections.abc import Iterable

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

_AT_ONCE = 500  # ids in one query


async def names_of(connection: AsyncConnection, table: Table, ids: Iterable[str]) -> dict[str, str]:
    """The names in a table that has an `id` and a `name`; of those that are gone nothing is known."""
    found: dict[str, str] = {}
    wanted = sorted({*ids} - {""})
    for start in range(0, len(wanted), _AT_ONCE):
        named = select(table.c.id, table.c.name).where(table.c.id.in_(wanted[start : start + _AT_ONCE]))
        found.update((one[0], one[1]) for one in await connection.execute(named))
    return found
