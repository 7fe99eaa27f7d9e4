"""A change to the database: rows are added, changed and removed through it, and it notes which ones.

What it notes is all that a gateway reads of the change (`gateway/registry/database/rows.py`), of whichever table.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult, Executable, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.registry.database.tables import changes, revision

_KEPT = 1_000  # changes; a gateway that has missed more than these reads everything


class Transaction:
    """Make it with `begin`; end it with `note`, in the connection's transaction, which is the caller's to commit.

    A row is named by the column `id` of its table.
    """

    def __init__(self, connection: AsyncConnection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._changed: set[tuple[str, str]] = set()  # table, id

    @classmethod
    async def begin(cls, connection: AsyncConnection) -> "Transaction":
        """Take the revision first: what is read from here on, no other change can make untrue, and revisions become
        visible in the order of their numbers, none before one that is lower."""
        await connection.execute(update(revision).values(number=revision.c.number + 1))
        return cls(connection, (await connection.execute(select(revision.c.number))).scalar_one())

    @property
    def has_changed(self) -> bool:
        """Whether anything was added, changed or removed."""
        return bool(self._changed)

    async def execute(self, query: Executable) -> CursorResult[Any]:
        """Read."""
        return await self._connection.execute(query)

    async def insert(self, table: Table, row: Mapping[str, object]) -> None:
        """Add a row."""
        await self._connection.execute(insert(table), row)
        self._changed.add((table.name, str(row["id"])))

    async def update(self, table: Table, row_id: str, values: Mapping[str, object]) -> bool:
        """Change a row; False if there is none."""
        return await self._concern(table, row_id, update(table).where(table.c.id == row_id).values(values))

    async def delete(self, table: Table, row_id: str) -> bool:
        """Remove a row; False if there is none."""
        return await self._concern(table, row_id, delete(table).where(table.c.id == row_id))

    async def note(self) -> None:
        """Leave word of all that was changed, and forget the changes that were long ago."""
        rows = [{"revision": self._number, "kind": kind, "row_id": row_id} for kind, row_id in sorted(self._changed)]
        await self._connection.execute(insert(changes), rows)
        await self._connection.execute(delete(changes).where(changes.c.revision <= self._number - _KEPT))

    async def leave_no_trace(self) -> None:
        """Give the revision back, where nothing was changed that a gateway reads."""
        await self._connection.execute(update(revision).values(number=revision.c.number - 1))

    async def _concern(self, table: Table, row_id: str, statement: Executable) -> bool:
        done = await self._connection.execute(statement)
        if done.rowcount:
            self._changed.add((table.name, row_id))
        return bool(done.rowcount)
