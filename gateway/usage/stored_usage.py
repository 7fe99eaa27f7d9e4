"""Stored usage, read and added up: by time, by whom, of what; each sum with its cost."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Label, Select, Table, case, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config.price_settings import Prices
from gateway.core.usage_sums import NUMBERS, SECONDS, SUMS
from gateway.usage.cost import cost_of, prices_of

OTHERS = "*"  # no id is this
_AT_ONCE = 200  # rows: requests are served between any two such portions, which take some milliseconds


class UsageGroup(NamedTuple):
    """What the usage in one row has in common. Empty: rows are not told apart by it; a person: the key is nobody's."""

    time: datetime | str = ""
    account: str = ""
    key: str = ""
    person: str = ""
    deployment: str = ""
    endpoint: str = ""


@dataclass
class SummedUsage:
    """What a group has used, or all of them together: its sums, how many requests ended how, and what it costs."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    endings: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: float | None = None

    def add(self, stored: RowMapping, cost: float | None) -> None:
        """Add what is stored of one deployment and one ending."""
        sums = self.sums
        for name in NUMBERS:
            sums[name] += int(stored[name])  # some databases sum whole numbers up to decimals
        for name in SECONDS:
            sums[name] += stored[name]
        self.endings[stored["ending"]] += int(stored["requests"])
        if cost is not None:
            self.cost = cost + (self.cost or 0)

    @property
    def weight(self) -> tuple[float, float]:
        """By which rows are put into their order."""
        return -(self.sums["tokens_in"] + self.sums["tokens_out"]), -self.sums["requests"]


class Grouping(NamedTuple):
    """By what usage is grouped: the hour or the day, or neither; a subject, which its columns say.

    Where `only` names some of the subjects, all others are one: `OTHERS` stands in each of their columns.
    """

    time: str
    subject: str = ""
    columns: Collection[str] = ()
    only: Collection[str] | None = None

    def selected(self, table: Table) -> list[Label[Any]]:
        """The columns to select and to group by, under names that no column has."""
        time = [table.c[self.time].label("by_time")] if self.time else []
        return [*time, *(self._collapsed(table, name).label(f"by_{name}") for name in self.columns)]

    def group(self, stored: RowMapping) -> UsageGroup:
        """The group that a selected row belongs to."""
        told = {name: stored[f"by_{name}"] for name in self.columns}
        return UsageGroup(stored["by_time"], **told) if self.time else UsageGroup(**told)

    def _collapsed(self, table: Table, name: str) -> ColumnElement[Any]:
        if self.only is None:
            return table.c[name]
        return case((table.c[self.subject].in_(self.only), table.c[name]), else_=OTHERS)


async def most_used(
    connection: AsyncConnection, table: Table, within: Iterable[ColumnElement[bool]], subject: str, number: int
) -> list[str]:
    """The subjects that used most, by tokens, then by requests."""
    column = table.c[subject]
    order = [func.sum(table.c.tokens_in + table.c.tokens_out).desc(), func.sum(table.c.requests).desc(), column]
    found = await connection.execute(select(column).where(*within).group_by(column).order_by(*order).limit(number))
    return list(found.scalars())


async def add_up(
    connection: AsyncConnection,
    table: Table,
    within: Iterable[ColumnElement[bool]],
    prices: Prices,
    grouping: Grouping,
    *,
    most: int,
) -> tuple[dict[UsageGroup, SummedUsage], SummedUsage]:
    """What is told apart of the stored rows within these conditions, and the total of all.

    Of hours or days only so many, the first, that there are more than `most` rows: a million that nobody is shown would
    take a gigabyte, and seconds in which nobody else is served.
    """
    conditions = tuple(within)
    by = grouping.selected(table)
    names = [one.name for one in by] + ["deployment", "ending"]
    told = [*by, table.c.deployment, table.c.ending]
    summed = select(*told, *(func.sum(table.c[name]).label(name) for name in SUMS)).where(*conditions).group_by(*names)
    added: defaultdict[UsageGroup, SummedUsage] = defaultdict(SummedUsage)
    total, time = SummedUsage(), None
    async with aclosing(_streamed(connection, summed.order_by("by_time") if grouping.time else summed)) as rows:
        async for row in rows:
            group, cost = grouping.group(row), _cost(row, prices)
            if len(added) > most and group.time != time:
                break
            time = group.time
            for one in (added[group], total):
                one.add(row, cost)
        else:
            return dict(added), total
    return dict(added), (await add_up(connection, table, conditions, prices, Grouping(""), most=most))[1]


async def _streamed(connection: AsyncConnection, query: Select[Any]) -> AsyncGenerator[RowMapping]:
    async with connection.stream(query) as result:
        async for portion in result.mappings().partitions(_AT_ONCE):
            for row in portion:
                yield row


def _cost(stored: RowMapping, prices: Prices) -> float | None:
    return cost_of(
        prices_of(prices, stored["deployment"]),
        tokens_in=int(stored["tokens_in"]),
        tokens_cached=int(stored["tokens_cached"]),
        tokens_out=int(stored["tokens_out"]),
        slot_seconds=stored["slot_seconds"],
    )
