"""Lists in pages: each begins after the last row of the one before, wherever rows were added or removed since."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config.setting_types import moment
from gateway.registry.database.tables import Moment
from gateway.team.models.common import Page, PageQuery
from gateway.team.operation_error import FieldError, Invalid

T = TypeVar("T")


async def page_of(
    connection: AsyncConnection,
    query: PageQuery,
    selected: Select[Any],
    order: Sequence[ColumnElement[Any]],
    make: Callable[[Row[Any]], T],
    *,
    newest_first: bool = False,
) -> Page[T]:
    """One page of the rows selected, in the order of these columns, which together tell every row apart.

    Raises Invalid for a cursor that no page ended with.
    """
    if query.cursor is not None:
        after, here = tuple_(*order), tuple_(*_values(query.cursor, order))
        selected = selected.where(after < here if newest_first else after > here)
    ordered = selected.order_by(*(column.desc() if newest_first else column for column in order))
    rows = (await connection.execute(ordered.limit(query.limit + 1))).all()
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    return Page(items=[make(row) for row in shown], next_cursor=_cursor(shown[-1], order) if more else None)


def _cursor(row: Row[Any], order: Sequence[ColumnElement[Any]]) -> str:
    values = [row._mapping[column] for column in order]
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _values(cursor: str, order: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(found, list) or len(found) != len(order):
            raise ValueError
        return [literal(_value(one, column), column.type) for one, column in zip(found, order, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Invalid(
            "The cursor is none of ours.", [FieldError("cursor", "is not one that a page ended with")]
        ) from None


def _value(value: object, column: ColumnElement[Any]) -> object:
    """What a column can be compared with. Raises ValueError: it comes from outside, and a database takes less."""
    kind = datetime if isinstance(column.type, Moment) else column.type.python_type
    found = moment(value) if kind is datetime else value
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ValueError
    if isinstance(found, int) and abs(found) >= 2**63:
        raise ValueError
    if isinstance(found, str):
        found.encode()
    return found
