"""Stored usage, read and added up: by time, by whom, of what; each sum with its cost."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config.price_settings import Prices
from gateway.usage.cost import cost_of, prices_of

SUMS = (
    *("requests", "answered", "tokens_in", "tokens_cached", "tokens_out", "tokens_counted"),
    *("queue_seconds", "slot_seconds", "first_byte_seconds", "duration_seconds"),
)


class Apart(NamedTuple):
    """What tells rows apart. Empty is what does not, and the person of a key that is nobody's."""

    time: datetime | str = ""
    account: str = ""
    key: str = ""
    person: str = ""
    deployment: str = ""
    endpoint: str = ""


@dataclass
class Added:
    """Sums, and what they are added up from."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    endings: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: float | None = None

    def add(self, stored: RowMapping, cost: float | None) -> None:
        """Add what is stored of one deployment and one ending."""
        for name in SUMS:
            self.sums[name] += stored[name]
        self.endings[stored["ending"]] += stored["requests"]
        if cost is not None:
            self.cost = cost + (self.cost or 0)

    @property
    def weight(self) -> tuple[float, float]:
        """By which rows are put into their order."""
        return -(self.sums["tokens_in"] + self.sums["tokens_out"]), -self.sums["requests"]


class Wanted(NamedTuple):
    """What rows are told apart by: the hour or the day, or neither, and further columns."""

    time: str
    columns: Collection[str]

    def apart(self, stored: RowMapping) -> Apart:
        """Which row a stored one belongs to."""
        told = {name: stored[name] for name in self.columns}
        return Apart(stored[self.time], **told) if self.time else Apart(**told)


async def add_up(
    connection: AsyncConnection, table: Table, within: Iterable[ColumnElement[bool]], prices: Prices, wanted: Wanted
) -> tuple[dict[Apart, Added], Added]:
    """What is told apart of the stored rows within these conditions, and the total of all."""
    names = dict.fromkeys((*([wanted.time] if wanted.time else []), *wanted.columns, "deployment", "ending"))
    by = [table.c[name] for name in names]
    summed = select(*by, *(func.sum(table.c[name]).label(name) for name in SUMS)).where(*within).group_by(*by)
    added: defaultdict[Apart, Added] = defaultdict(Added)
    total = Added()
    for stored in (await connection.execute(summed)).mappings():
        cost = _cost(stored, prices)
        for one in (added[wanted.apart(stored)], total):
            one.add(stored, cost)
    return dict(added), total


def _cost(stored: RowMapping, prices: Prices) -> float | None:
    return cost_of(
        prices_of(prices, stored["deployment"]),
        tokens_in=int(stored["tokens_in"]),
        tokens_cached=int(stored["tokens_cached"]),
        tokens_out=int(stored["tokens_out"]),
        slot_seconds=stored["slot_seconds"],
    )
